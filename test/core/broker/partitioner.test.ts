import { expect, test } from 'vitest'
import { BUCKETS, bucketOf, murmur2, positiveHash } from '../../../src/core/broker/partitioner.ts'

// From Kafka's own UtilsTest.testMurmur2.
const published: readonly [text: string, hash: number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

test.each(published)('hashes %s as Java does', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

test('drops the sign as Kafka does, by masking and not by negating', () => {
  expect(positiveHash(Buffer.from('21'))).toBe(-973932308 & 0x7fffffff)
})

test('puts a key of a topic into one of the buckets, always the same', () => {
  const buckets = Array.from({ length: 1_000 }, (_, index) => bucketOf('orders', Buffer.from(`key-${index}`)))

  expect(buckets.every((bucket) => Number.isInteger(bucket) && bucket >= 0 && bucket < BUCKETS)).toBe(true)
  expect(new Set(buckets).size).toBeGreaterThan(BUCKETS / 2)
  expect(bucketOf('orders', Buffer.from('key-0'))).toBe(buckets[0])
})

// Reckoned by a murmur2 that is not ours: a relay of another version must find a key in the same bucket.
test.each([
  ['orders', 'o-1', 75],
  ['orders', 'o-2', 18],
  ['zahlungen.über', 'schlüssel', 41],
  ['t', '', 2],
])('the bucket of topic %s and key %s is %i for ever', (topic, key, bucket) => {
  expect(bucketOf(topic, Buffer.from(key))).toBe(bucket)
})
