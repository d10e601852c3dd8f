import { expect, test } from 'vitest'
import { RelayTally } from '../../../src/core/outbox/relay-tally.ts'

test('quantiles are at most a fifth too high, and never too low', () => {
  const tally = new RelayTally()
  const times = Array.from({ length: 1_000 }, (_, index) => ({ timestampMs: -index }))

  tally.acked(times.slice(0, 400), 0)
  tally.acked(times.slice(400), 0)
  const { messages, batches, p50Ms, p99Ms } = tally.take()

  expect([messages, batches]).toEqual([1_000, 2])
  expect(p50Ms).toBeGreaterThanOrEqual(499)
  expect(p50Ms).toBeLessThanOrEqual(600)
  expect(p99Ms).toBeGreaterThanOrEqual(989)
  expect(p99Ms).toBeLessThanOrEqual(1_190)
})

test('what was taken is counted no more', () => {
  const tally = new RelayTally()
  tally.acked([{ timestampMs: 0 }], 10)
  tally.take()

  expect(tally.take()).toEqual({ messages: 0, batches: 0, p50Ms: undefined, p99Ms: undefined })
})

test('clocks that differ, and times beyond all measure, count too', () => {
  const tally = new RelayTally()

  tally.acked([{ timestampMs: 5_000 }, { timestampMs: -1e15 }], 0)
  const { p50Ms, p99Ms } = tally.take()

  expect(p50Ms).toBe(1)
  expect(p99Ms).toBeGreaterThan(1e9)
})
