import { expect, test } from 'vitest'
import { LookPace } from '../../../src/core/outbox/look-pace.ts'

const silence = Promise.resolve(false)
const calls = Promise.resolve(true)

function pauses(pace: LookPace, count: number, nowMs = 0): number[] {
  return Array.from({ length: count }, () => pace.next(nowMs))
}

test('looks become rarer while they find nothing, up to the longest pause', () => {
  const pace = new LookPace(100, silence)

  expect(pauses(pace, 8)).toEqual([2, 4, 8, 16, 32, 64, 100, 100])
})

test('after a call the next looks are not hurried', () => {
  const pace = new LookPace(100, silence)

  pace.begin(0)

  expect(pauses(pace, 4)).toEqual([16, 32, 64, 100])
})

test('where rows come for which nobody calls, looks come soon for a second after the last', () => {
  const pace = new LookPace(100, silence)
  pace.foundUncalled(4_000)
  pace.foundUncalled(5_000)

  pace.begin(5_999)
  const within = pauses(pace, 3, 5_999)
  pace.begin(6_000)
  const after = pauses(pace, 3, 6_000)

  expect(within).toEqual([2, 4, 8])
  expect(after).toEqual([16, 32, 64])
})

test('a short longest pause is kept', () => {
  const pace = new LookPace(10, silence)

  pace.begin(0)

  expect(pauses(pace, 2)).toEqual([10, 10])
})

test('a relay that is called rests when nothing has come for a while, until something comes', async () => {
  const pace = new LookPace(100, calls)
  await calls

  const resting = pauses(pace, 30).slice(24)
  pace.begin(0)

  expect(resting).toEqual([100, 400, 400, 400, 400, 400])
  expect(pauses(pace, 4)).toEqual([16, 32, 64, 100])
})

test('where rows came lately for which nobody called, a relay does not rest', async () => {
  const pace = new LookPace(100, calls)
  await calls
  pace.foundUncalled(0)

  const lately = pauses(pace, 40, 599_999)
  const later = pauses(pace, 1, 600_000)

  expect(Math.max(...lately)).toBe(100)
  expect(later).toEqual([400])
})

test('a row that a look finds just before the call for it was called for', async () => {
  const pace = new LookPace(100, calls)
  await calls
  pace.foundUncalled(0)

  pace.called(999)

  expect(pauses(pace, 30, 5_000).at(-1)).toBe(400)
})

test('a call that comes too late is none, and one call does not speak for what comes after it', async () => {
  const [late, other] = [new LookPace(100, calls), new LookPace(100, calls)]
  await calls
  late.foundUncalled(0)
  other.foundUncalled(0)

  late.called(1_000)
  other.called(500)
  other.foundUncalled(600)

  expect(pauses(late, 30, 5_000).at(-1)).toBe(100)
  expect(pauses(other, 30, 5_000).at(-1)).toBe(100)
})

test('a relay that calls do not reach never rests', () => {
  const pace = new LookPace(100, silence)

  expect(Math.max(...pauses(pace, 100))).toBe(100)
})
