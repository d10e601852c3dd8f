import { expect, test } from 'vitest'
import { growthIn } from './soak.ts'
import { type Usage, usagesOf } from './usage.ts'

const flat: Usage = { rssMb: 120, heldMb: 40, files: 30, resources: 25 }
const over = (change: (index: number) => Partial<Usage>): Usage[] =>
  Array.from({ length: 60 }, (_, index) => ({ ...flat, ...change(index) }))

test('a program that stays as it is has not grown, whatever it did while it became warm', () => {
  expect(growthIn(over((index) => ({ rssMb: index < 15 ? 60 + 5 * index : 120 + (index % 7) })))).toEqual([])
})

test.for<[string, (index: number) => Partial<Usage>, RegExp]>([
  ['memory', (index) => ({ rssMb: 100 + 2 * index }), /^rssMb grew/],
  ['what its code holds', (index) => ({ heldMb: 40 + index / 2 }), /^heldMb grew/],
  ['connections', (index) => ({ files: 30 + Math.floor(index / 3) }), /^files grew/],
  ['timers', (index) => ({ resources: 25 + Math.floor(index / 2) }), /^resources grew/],
  ['a peak beyond the limit', (index) => ({ rssMb: index === 40 ? 400 : 120 }), /^rssMb reached 400/],
])('a program that leaks %s is found out', ([, change, found]) => {
  expect(growthIn(over(change))).toContainEqual(expect.stringMatching(found))
})

test('a few reports prove nothing, and lines that are no reports are not counted', () => {
  expect(growthIn(usagesOf({ lines: ['ready', 'usage 120.5 40.1 30 25', 'usage x'] }))).toEqual(['only 1 reports: nothing can be said'])
})
