import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OffsetCommitter, type PartitionOffset } from '../../../src/core/broker/offset-committer.ts'

const orders = { topic: 'orders', partition: 0 }

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

function committerInto(commits: (readonly PartitionOffset[])[], failing: () => boolean = () => false): OffsetCommitter {
  return new OffsetCommitter({
    group: 'stock',
    diagnostics: undefined,
    commit: async (offsets) => {
      if (failing()) throw new Error('the coordinator has moved')
      commits.push(offsets)
    },
  })
}

test('commits many notes at once, the latest of each partition', async () => {
  const commits: (readonly PartitionOffset[])[] = []
  const committer = committerInto(commits)

  for (let next = 1n; next <= 100n; next++) committer.note(orders, next)
  committer.note({ topic: 'orders', partition: 1 }, 7n)
  await vi.advanceTimersByTimeAsync(OffsetCommitter.intervalMs)

  expect(commits).toEqual([
    [
      { ...orders, next: 100n },
      { topic: 'orders', partition: 1, next: 7n },
    ],
  ])
})

test('commits again what could not be committed, unless something later came', async () => {
  const commits: (readonly PartitionOffset[])[] = []
  let failing = true
  const committer = committerInto(commits, () => failing)
  committer.note(orders, 5n)

  await vi.advanceTimersByTimeAsync(OffsetCommitter.intervalMs)
  failing = false
  await vi.advanceTimersByTimeAsync(OffsetCommitter.intervalMs)

  expect(commits).toEqual([[{ ...orders, next: 5n }]])
})

test('commits at once when flushed, and nothing after it was closed', async () => {
  const commits: (readonly PartitionOffset[])[] = []
  const committer = committerInto(commits)

  committer.note(orders, 5n)
  await committer.flush()
  committer.close()
  committer.note(orders, 6n)
  await vi.advanceTimersByTimeAsync(10 * OffsetCommitter.intervalMs)

  expect(commits).toEqual([[{ ...orders, next: 5n }]])
})
