import { expect, test } from 'vitest'
import { BatchSize } from '../../../src/core/consume/batch-size.ts'

const limits = { sizeMax: 500, latencyMs: 200 }

test('a partition begins small, and doubles while its batches are quick', () => {
  const size = new BatchSize(limits)
  const sizes = [size.next]

  for (let batch = 0; batch < 6; batch++) {
    size.settled(size.next, 1, 0)
    sizes.push(size.next)
  }

  expect(sizes).toEqual([32, 64, 128, 256, 500, 500, 500])
})

test('slow handlers get as many as fit into the time, at least one', () => {
  const size = new BatchSize(limits)

  size.settled(32, 640, 0)
  expect(size.next).toBe(10)

  size.settled(10, 60_000, 0)
  expect(size.next).toBe(1)
})

test('a batch that was not full does not make the next one larger', () => {
  const size = new BatchSize(limits)

  size.settled(3, 1, 0)

  expect(size.next).toBe(32)
})

test('a batch that had to run again makes the next one smaller', () => {
  const size = new BatchSize(limits)
  size.settled(32, 1, 0)

  size.settled(64, 1, 1)

  expect(size.next).toBe(32)
})
