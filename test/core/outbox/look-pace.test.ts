import { expect, test } from 'vitest'
import { LookPace } from '../../../src/core/outbox/look-pace.ts'

function pauses(pace: LookPace, count: number): number[] {
  return Array.from({ length: count }, () => pace.next())
}

test('looks become rarer while they find nothing, up to the longest pause', () => {
  const pace = new LookPace(100)

  expect(pauses(pace, 8)).toEqual([2, 4, 8, 16, 32, 64, 100, 100])
})

test('after a call the next looks are not hurried', () => {
  const pace = new LookPace(100)

  pace.begin(0)

  expect(pauses(pace, 4)).toEqual([16, 32, 64, 100])
})

test('where rows come for which nobody called, looks come soon for a second', () => {
  const pace = new LookPace(100)
  pace.foundUncalled(5_000)

  pace.begin(5_999)
  const within = pauses(pace, 3)
  pace.begin(6_000)
  const after = pauses(pace, 3)

  expect(within).toEqual([2, 4, 8])
  expect(after).toEqual([16, 32, 64])
})

test('a short longest pause is kept', () => {
  const pace = new LookPace(10)

  pace.begin(0)

  expect(pauses(pace, 2)).toEqual([10, 10])
})
