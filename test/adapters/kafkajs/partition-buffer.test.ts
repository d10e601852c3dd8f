import { beforeEach, expect, test } from 'vitest'
import { type FetchedBatch, PartitionBuffer, type PartitionFetcher } from '../../../src/adapters/kafkajs/partition-buffer.ts'
import { PrefetchBudget } from '../../../src/adapters/wire/prefetch-budget.ts'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'
import type { Clock } from '../../../src/foundation/clock.ts'
import { TransientError } from '../../../src/foundation/errors.ts'

let asked: string[]
let buffer: PartitionBuffer
let fetcher: PartitionFetcher
let now: number
const clock: Clock = { now: () => now, monotonic: () => now, sleep: async () => undefined }

beforeEach(() => {
  asked = []
  now = 0
  fetcher = {
    range: async () => ({ earliest: 0n, latest: 0n, topicId: null }),
    seek: (_, offset) => asked.push(`seek ${offset}`),
    pause: () => asked.push('pause'),
    resume: () => asked.push('resume'),
  }
  buffer = bufferOf(new PrefetchBudget())
})

function bufferOf(budget: PrefetchBudget): PartitionBuffer {
  return new PartitionBuffer({ topic: 'orders', partition: 0 }, { fetcher, budget, clock })
}

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

  expect((await next()).map(({ offset }) => offset)).toEqual([4n, 5n, 6n, 7n])
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

test('stops fetching when it is full, and goes on when most of it is taken', async () => {
  buffer.seek(0n)
  for (let offset = 0n; offset < 5n; offset++) buffer.offer(batch(offset, offset, 1024 * 1024))
  expect(asked).toEqual(['seek 0', 'resume', 'pause'])

  for (let taken = 0; taken < 4; taken++) await next()
  expect(asked).toHaveLength(3)
  await next()

  expect(asked).toEqual(['seek 0', 'resume', 'pause', 'resume'])
})

test('fetches further ahead for a reader that had to wait', async () => {
  buffer.seek(0n)
  buffer.offer(batch(0n, 0n, 600_000))
  await next()
  const waiting = next()
  buffer.offer(batch(1n, 1n, 600_000))
  await waiting
  asked = []

  buffer.offer(batch(2n, 2n, 600_000))
  const once = [...asked]
  buffer.offer(batch(3n, 3n, 600_000))

  expect([once, asked]).toEqual([[], ['pause']])
})

test('hands over only what was asked for when a batch is fetched for an offset in its middle', async () => {
  buffer.seek(4n)

  buffer.offer({ ...batch(2n, 6n), fetchedOffset: 4n })

  expect((await next()).map(({ offset }) => offset)).toEqual([4n, 5n, 6n])
})

test('hands over what it has before it says that the place was lost', async () => {
  buffer.seek(0n)
  buffer.offer(batch(0n, 1n))

  buffer.lose(new TransientError('POSITION_LOST', 'The log does not reach there.'))

  expect(await next()).toHaveLength(2)
  await expect(next()).rejects.toMatchObject({ code: 'POSITION_LOST' })
  expect(asked.at(-1)).toBe('pause')
})

test('partitions that share a spent budget fetch only when they hold nothing', async () => {
  const budget = new PrefetchBudget(1_000)
  const [rich, poor] = [bufferOf(budget), bufferOf(budget)]
  rich.seek(0n)
  rich.offer(batch(0n, 0n, 2_000))
  poor.seek(0n)
  poor.offer(batch(0n, 0n, 10))
  asked = []

  await poor.next(AbortSignal.timeout(1_000))
  const whileRichHolds = [...asked]
  await rich.next(AbortSignal.timeout(1_000))

  expect(whileRichHolds).toEqual(['resume'])
  expect(asked).toEqual(['resume', 'resume'])
  expect(budget.isSpent).toBe(false)
})

test('gives back to the budget what it drops', () => {
  const budget = new PrefetchBudget(1_000)
  const dropping = bufferOf(budget)
  dropping.seek(0n)
  dropping.offer(batch(0n, 0n, 2_000))
  const spent = budget.isSpent

  dropping.seek(0n)

  expect([spent, budget.isSpent]).toEqual([true, false])
})

test('is silent while fetches tell nothing of it although they should', () => {
  buffer.seek(4n)
  now = 10
  const waiting = buffer.silentMs
  buffer.answered(4n)
  now = 15
  const answered = buffer.silentMs
  buffer.answered(9n)
  now = 20
  const unfetched = buffer.silentMs
  buffer.pause()

  expect([waiting, answered, unfetched, buffer.silentMs]).toEqual([10, 5, 10, 0])
})
