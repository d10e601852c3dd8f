import { expect, test } from 'vitest'
import { NO_SLOT, slotOf } from '../../../src/core/inbox/slot.ts'
import { newMessageId } from '../../../src/foundation/ids.ts'

/** The first id of a millisecond, and the last. */
function idsOf(time: string): [string, string] {
  const hex = Date.parse(time).toString(16).padStart(12, '0')
  const start = `${hex.slice(0, 8)}-${hex.slice(8)}`
  return [`${start}-7000-8000-000000000000`, `${start}-7fff-bfff-ffffffffffff`]
}

test('an id is kept in the millisecond in which it was made, whenever it is asked', () => {
  const [first, last] = idsOf('2026-01-31T23:59:59.999Z')
  const [next] = idsOf('2026-02-01T00:00:00.000Z')

  expect(slotOf(first)).toBe(slotOf(last))
  expect(slotOf(next)).toBe(slotOf(last) + 1)
  expect(slotOf(next)).toBe(Date.parse('2026-02-01T00:00:00Z'))
})

test('an id of ours is kept in this millisecond', () => {
  const before = Date.now()

  const slot = slotOf(newMessageId())

  expect(slot).toBeGreaterThanOrEqual(before)
  expect(slot).toBeLessThanOrEqual(before + 1_000)
})

test.for([
  '',
  'order-7',
  '7d0f6a2e-6f0b-4c1e-9b53-2f1d1c8e4a70',
  '0198d3f2-0000-7000-c000-000000000001',
  `0198d3f2-0000-7000-8000-${'0'.repeat(13)}`,
])('an id that says no time is kept apart: %s', (id) => {
  expect(slotOf(id)).toBe(NO_SLOT)
})

test('the largest id is counted exactly', () => {
  expect(slotOf('ffffffff-ffff-7fff-bfff-ffffffffffff')).toBe(2 ** 48 - 1)
})
