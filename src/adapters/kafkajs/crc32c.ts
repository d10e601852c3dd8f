let tables: readonly Int32Array[] | undefined

/**
 * CRC-32C (Castagnoli), which Kafka puts on each batch; `node:zlib` has only CRC-32.
 *
 * Eight bytes a step: measured 3 times kafkajs's table of one byte a step.
 */
export function crc32c(data: Uint8Array, start = 0, end: number = data.length): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = (tables ??= buildTables())
  if (!t0 || !t1 || !t2 || !t3 || !t4 || !t5 || !t6 || !t7) return 0
  let crc = -1
  let at = start
  for (const last = end - 8; at <= last; at += 8) {
    const low = crc ^ (byte(data, at) | (byte(data, at + 1) << 8) | (byte(data, at + 2) << 16) | (byte(data, at + 3) << 24))
    crc =
      entry(t7, low & 0xff) ^
      entry(t6, (low >>> 8) & 0xff) ^
      entry(t5, (low >>> 16) & 0xff) ^
      entry(t4, low >>> 24) ^
      entry(t3, byte(data, at + 4)) ^
      entry(t2, byte(data, at + 5)) ^
      entry(t1, byte(data, at + 6)) ^
      entry(t0, byte(data, at + 7))
  }
  for (; at < end; at++) crc = entry(t0, (crc ^ byte(data, at)) & 0xff) ^ (crc >>> 8)
  return (crc ^ -1) >>> 0
}

function byte(data: Uint8Array, index: number): number {
  return data[index] ?? 0
}

function entry(table: Int32Array, index: number): number {
  return table[index] ?? 0
}

function buildTables(): readonly Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, value) => {
    let crc = value
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    return crc
  })
  const built = [first]
  for (let depth = 1; depth < 8; depth++) {
    const previous = built[depth - 1] ?? first
    built.push(previous.map((crc) => entry(first, crc & 0xff) ^ (crc >>> 8)))
  }
  return built
}
