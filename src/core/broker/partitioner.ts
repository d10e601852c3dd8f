/**
 * The hash of Kafka's default partitioner, equal to Java's for every input.
 *
 * @see org.apache.kafka.common.utils.Utils#murmur2
 */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995
  const length = data.length
  let h = (0x9747b28c ^ length) | 0
  const words = length >> 2
  for (let word = 0; word < words; word++) {
    const i = word << 2
    let k = byte(data, i) | (byte(data, i + 1) << 8) | (byte(data, i + 2) << 16) | (byte(data, i + 3) << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m) ^ k
  }
  const tail = words << 2
  const rest = length & 3
  if (rest === 3) h ^= byte(data, tail + 2) << 16
  if (rest >= 2) h ^= byte(data, tail + 1) << 8
  if (rest >= 1) h = Math.imul(h ^ byte(data, tail), m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  h ^= h >>> 15
  return h | 0
}

function byte(data: Uint8Array, index: number): number {
  return data[index] ?? 0
}

/** The hash without its sign, as Kafka uses it: 0 to 2³¹ − 1. */
export function positiveHash(data: Uint8Array): number {
  return murmur2(data) & 0x7fffffff
}

/** The number of buckets by which relays can share an outbox. Fixed for ever: the number is stored with each row. */
export const BUCKETS = 128

/** Which relay would own this key, whatever the number of partitions. */
export function bucketOf(topic: string, key: Uint8Array): number {
  return positiveHash(Buffer.concat([Buffer.from(topic), Buffer.of(0), key])) % BUCKETS
}
