import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs } from '../../src/foundation/backoff.ts'

test('the delay doubles up to its limit', () => {
  const delays = [1, 2, 3, 4, 5].map((attempt) => backoffMs(attempt, { minMs: 10, maxMs: 100, jitter: 0 }))

  expect(delays).toEqual([10, 20, 40, 80, 100])
})

test('no attempt and no chance leads out of the limits', () => {
  const attempts = fc.integer({ min: 0, max: 10_000 })
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

  fc.assert(
    fc.property(attempts, chance, (attempt, random) => {
      const delay = backoffMs(attempt, { minMs: 10, maxMs: 1_000, jitter: 0.5, random: () => random })
      expect(delay).toBeGreaterThanOrEqual(5)
      expect(delay).toBeLessThanOrEqual(1_000)
    }),
  )
})
