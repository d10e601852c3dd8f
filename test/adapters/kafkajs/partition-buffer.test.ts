import { beforeEach, expect, test } from 'vitest'
import { type FetchedBatch, PartitionBuffer, type PartitionFetcher } from '../../../src/adapters/kafkajs/partition-buffer.ts'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'

let asked: string[]
let buffer: PartitionBuffer

beforeEach(() => {
  asked = []
  const fetcher: PartitionFetcher = {
    range: async () => ({ earliest: 0n, latest: 0n, topicId: null }),
    seek: (_, offset) => asked.push(`seek ${offset}`),
    pause: () => asked.push('pause'),
    resume: () => asked.push('resume'),
  }
  buffer = new PartitionBuffer({ topic: 'orders', partition: 0 }, fetcher)
})

function batch(from: bigint, to: bigint, bytes = 1): FetchedBatch {
  const records: ConsumedRecord[] = []
  for (let offset = from; offset <= to; offset++)
    records.push({ offset, key: null, value: Buffer.alloc(bytes), headers: [], timestampMs: 0 })
  return { fetchedOffset: from, lastOffset: to, records }
}

function next(): Promise<readonly ConsumedRecord[]> {
  return buffer.next(AbortSignal.timeout(1_000))
}

test('takes a batch only from where the fetch was due, once', async () => {
  buffer.seek(4n)

  expect([buffer.offer(batch(4n, 6n)), buffer.offer(batch(7n, 7n))]).toEqual([true, true])

  expect((await next()).map(({ offset }) => offset)).toEqual([4n, 5n, 6n])
  expect((await next()).map(({ offset }) => offset)).toEqual([7n])
})

test('takes nothing before it was told where to read, and nothing while it pauses', () => {
  expect(buffer.offer(batch(0n, 3n))).toBe(false)
  buffer.seek(0n)
  buffer.pause()

  expect(buffer.offer(batch(0n, 3n))).toBe(false)
})

test('drops what was fetched before a seek', async () => {
  buffer.seek(0n)
  buffer.offer(batch(0n, 3n))

  buffer.seek(2n)
  buffer.offer(batch(2n, 5n))

  expect((await next()).map(({ offset }) => offset)).toEqual([2n, 3n, 4n, 5n])
})

test('says that the place was lost when kafkajs reads from another one, after what was read in place', async () => {
  buffer.seek(4n)
  buffer.offer(batch(4n, 4n))

  expect(buffer.offer(batch(40n, 41n))).toBe(false)

  expect(await next()).toHaveLength(1)
  await expect(next()).rejects.toMatchObject({ code: 'POSITION_LOST' })
})

test('follows kafkajs over offsets that hold nothing', async () => {
  buffer.seek(4n)

  buffer.passOver(9n)

  expect(buffer.offer(batch(10n, 10n))).toBe(true)
})

test('stops fetching when it is full, and goes on when half of it is taken', async () => {
  buffer.seek(0n)
  const megabyte = 1024 * 1024
  for (let offset = 0n; offset < 5n; offset++) buffer.offer(batch(offset, offset, megabyte))
  expect(asked).toEqual(['seek 0', 'resume', 'pause'])

  await next()
  await next()
  expect(asked).toHaveLength(3)
  await next()
  await next()

  expect(asked).toEqual(['seek 0', 'resume', 'pause', 'resume'])
})
