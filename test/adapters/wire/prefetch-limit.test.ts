import { expect, test } from 'vitest'
import { PrefetchLimit } from '../../../src/adapters/wire/prefetch-limit.ts'

const HALF_A_MEGABYTE = 512 * 1024

/** Limits after each of so many rounds. */
function rounds(limit: PrefetchLimit, count: number, round: () => void): number[] {
  return Array.from({ length: count }, () => {
    round()
    return limit.bytes / HALF_A_MEGABYTE
  })
}

test('doubles each time the reader waits after fetching was stopped, up to four megabytes', () => {
  const limit = new PrefetchLimit()

  const after = rounds(limit, 5, () => {
    limit.stopped()
    limit.ranDry()
  })

  expect(after).toEqual([2, 4, 8, 8, 8])
})

test('stays small behind a reader that never waits, and where nothing was stopped: then there is nothing to fetch', () => {
  const [slow, idle] = [new PrefetchLimit(), new PrefetchLimit()]

  expect(rounds(slow, 40, () => slow.stopped()).every((bytes) => bytes === 1)).toBe(true)
  expect(rounds(idle, 40, () => idle.ranDry()).every((bytes) => bytes === 1)).toBe(true)
})

test('falls by half when the reader has become slow, and not for one pause of its', () => {
  const limit = new PrefetchLimit()
  rounds(limit, 3, () => {
    limit.stopped()
    limit.ranDry()
  })

  const after = rounds(limit, 70, () => limit.stopped())

  expect(after.slice(0, 15).every((bytes) => bytes === 8)).toBe(true)
  expect(after.at(-1)).toBe(1)
})
