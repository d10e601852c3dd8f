import { expect, test } from 'vitest'
import { BatchSize } from '../../../src/core/consume/batch-size.ts'

const limits = { sizeMax: 500, latencyMs: 200 }
const once = { reruns: 0, halved: false }

test('a partition begins small, and doubles while its batches are quick', () => {
  const size = new BatchSize(limits)
  const sizes = [size.next]

  for (let batch = 0; batch < 6; batch++) {
    size.settled(size.next, 1, once)
    sizes.push(size.next)
  }

  expect(sizes).toEqual([32, 64, 128, 256, 500, 500, 500])
})

test('slow handlers get as many as fit into the time, at least one', () => {
  const size = new BatchSize(limits)

  size.settled(32, 640, once)
  expect(size.next).toBe(10)

  size.settled(10, 60_000, once)
  expect(size.next).toBe(1)
})

test('a batch that was not full does not make the next one larger', () => {
  const size = new BatchSize(limits)

  size.settled(3, 1, once)

  expect(size.next).toBe(32)
})

test('a batch that had to be halved makes the next one as small as what was settled of it', () => {
  const size = new BatchSize(limits)
  size.settled(32, 1, once)

  size.settled(4, 500, { reruns: 4, halved: true })

  expect(size.next).toBe(4)
})

test('a batch that ran twice says nothing about how long once takes', () => {
  const size = new BatchSize(limits)

  size.settled(32, 6_400, { reruns: 1, halved: false })

  expect(size.next).toBe(32)
})
