import { expect, test } from 'vitest'
import { FaultPlan, faultKinds } from '../../../src/faces/testing/fault-plan.ts'

const places = Array.from({ length: 200 }, (_, index) => `place ${index % 40}`)

/** Passes the places in turn. @returns what struck */
function walk(seed: number, order: readonly string[] = places, kinds = faultKinds.slice()): readonly string[] {
  const plan = new FaultPlan(seed, kinds)
  for (const place of order) for (const kind of faultKinds) plan.strikes(kind, place)
  return plan.fired
}

test('the same seed strikes at the same places, in whatever order they are passed', () => {
  // Few enough places that no kind reaches its limit, where the order would count.
  const few = places.slice(0, 6)
  const seeds = Array.from({ length: 50 }, (_, seed) => seed)

  expect(seeds.map((seed) => [...walk(seed, few)].toSorted())).toEqual(seeds.map((seed) => [...walk(seed, few.toReversed())].toSorted()))
})

test('seeds differ, and each kind strikes under some of them', () => {
  const runs = Array.from({ length: 50 }, (_, seed) => walk(seed))

  expect(new Set(runs.map((fired) => fired.join())).size).toBeGreaterThan(40)
  for (const kind of faultKinds) expect(runs.flat().filter((fault) => fault.startsWith(`${kind} `)).length).toBeGreaterThan(0)
})

test('only what was asked for strikes, and never without end', () => {
  const long = Array.from({ length: 5_000 }, (_, index) => `place ${index}`)

  const fired = walk(7, long, ['crash'])

  expect(fired.length).toBeLessThanOrEqual(4)
  expect(fired.every((fault) => fault.startsWith('crash '))).toBe(true)
})

test('a place that is passed again and again is left alone after a while, and all of them after the end', () => {
  const plan = new FaultPlan(1, ['delay'])
  for (let visit = 0; visit < 1_000; visit++) plan.strikes('delay', 'a poll')
  const polled = plan.fired.length
  plan.end()
  for (const place of places) plan.strikes('delay', place)

  expect(polled).toBeLessThanOrEqual(12)
  expect(plan.fired).toHaveLength(polled)
})
