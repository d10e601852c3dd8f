import { expect, test } from 'vitest'
import { median, toRow, toTable } from '../../bench/result.ts'

test('a bar holds up to its own value, and not beyond', () => {
  const drain = { bench: 'relay', name: 'drain', unit: 'events/s', atLeast: 60_000 }
  const cpu = { bench: 'relay', name: 'cpu', unit: 'µs', atMost: 8 }

  const holds = [
    { ...drain, figure: 60_000 },
    { ...drain, figure: 59_999 },
    { ...cpu, figure: 8 },
    { ...cpu, figure: 8.01 },
  ].map((each) => toRow(each).holds)

  expect(holds).toEqual([true, false, true, false])
})

test('a figure stands beside what was measured without us', () => {
  const row = toRow({ bench: 'relay', name: 'drain', unit: 'events/s', figure: 50_000, baseline: 100_000, atLeast: 60_000 })

  expect(row).toMatchObject({ baseline: 100_000, ratio: 0.5, bar: '>= 60000' })
})

test('one odd run does not move the median', () => {
  expect(median([10, 1_000, 11])).toBe(11)
  expect(median([1, 2, 3, 4])).toBe(2.5)
  expect(() => median([])).toThrow(RangeError)
})

test('the table shows what failed', () => {
  const table = toTable([toRow({ bench: 'relay', name: 'cpu', unit: 'µs', figure: 9, atMost: 8 })])

  expect(table.split('\n')[1]).toMatch(/^relay {2}cpu .*<= 8 {2}NO$/)
})
