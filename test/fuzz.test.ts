import { expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'

test('a hundred thousand changed messages are read as their schema says or refused, none crashes or stalls', { timeout: 60_000 }, () => {
  const { runs, read, refused, slowestMs } = fuzz({ runs: 100_000, seed: 4 })

  expect(slowestMs).toBeLessThan(50)
  expect(read + Object.values(refused).reduce((sum, count) => sum + count, 0)).toBe(runs)
  // Were nearly all refused by their first bytes, nothing would be shown.
  expect(read).toBeGreaterThan(runs / 10)
  expect(Object.keys(refused).sort()).toEqual(
    expect.arrayContaining(['ENVELOPE_INVALID', 'ENVELOPE_MISSING', 'PAYLOAD_UNREADABLE', 'SCHEMA_UNKNOWN']),
  )
})

test('the same seed makes the same run', () => {
  const [first, second] = [fuzz({ runs: 2_000, seed: 11 }), fuzz({ runs: 2_000, seed: 11 })]

  expect({ ...first, slowestMs: 0 }).toEqual({ ...second, slowestMs: 0 })
})
