import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { PartitionBuffer } from '../../../src/adapters/kafkajs/partition-buffer.ts'
import { LagWatch } from '../../../src/adapters/wire/lag-watch.ts'
import { PrefetchBudget } from '../../../src/adapters/wire/prefetch-budget.ts'
import type { PartitionRange } from '../../../src/core/broker/log-consumer.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { TransientError } from '../../../src/foundation/errors.ts'

const partition = { topic: 'orders', partition: 0 }
let stalled: string[]
let latest: bigint | undefined
let buffer: PartitionBuffer
let watch: LagWatch

beforeEach(() => {
  vi.useFakeTimers()
  stalled = []
  latest = 5n
  const fetcher = { range: async () => range(), seek: () => undefined, pause: () => undefined, resume: () => undefined }
  buffer = new PartitionBuffer(partition, { fetcher, budget: new PrefetchBudget(), clock: systemClock })
  watch = new LagWatch({ partitions: () => [buffer], rangeOf: range, onStalled: (error) => stalled.push(error.message) })
  watch.start()
  buffer.seek(2n)
})

afterEach(() => {
  watch.stop()
  vi.useRealTimers()
})

async function range(): Promise<PartitionRange> {
  if (latest === undefined) throw new TransientError('LEADER_MISSING', 'It has no leader.')
  return { earliest: 0n, latest, topicId: null }
}

test('ends a membership when records wait in a partition of which fetches tell nothing', async () => {
  await vi.advanceTimersByTimeAsync(40_000)
  expect(stalled).toEqual([])
  await vi.advanceTimersByTimeAsync(15_000)

  expect(stalled[0]).toContain('3 records wait in orders/0')
})

test('a partition with nothing to read is silent for a good reason', async () => {
  latest = 2n

  await vi.advanceTimersByTimeAsync(200_000)

  expect(stalled).toEqual([])
})

test('a partition without a leader is silent for a good reason, until it has one', async () => {
  latest = undefined
  await vi.advanceTimersByTimeAsync(200_000)
  expect(stalled).toEqual([])

  latest = 5n
  await vi.advanceTimersByTimeAsync(60_000)

  expect(stalled.length).toBeGreaterThan(0)
})

test('a partition that answers, and one that pauses, is not silent', async () => {
  for (let second = 0; second < 100; second++) {
    await vi.advanceTimersByTimeAsync(1_000)
    buffer.answered(2n)
  }
  buffer.pause()
  await vi.advanceTimersByTimeAsync(200_000)

  expect(stalled).toEqual([])
})
