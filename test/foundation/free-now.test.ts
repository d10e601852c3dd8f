import { expect, test } from 'vitest'
import { freeNow } from '../../src/foundation/free-now.ts'

test('bytes with memory of their own give it back, and read as nothing afterwards', () => {
  const bytes = Buffer.allocUnsafeSlow(100_000).fill(7)
  const view = bytes.subarray(10, 20)

  freeNow(bytes)

  expect([bytes.length, view.length, bytes.buffer.byteLength]).toEqual([0, 0, 0])
})

test('bytes that share their memory are left as they are', () => {
  const pooled = Buffer.from('a few bytes of the pool')
  const part = Buffer.alloc(10_000, 'x').subarray(1)
  const shared = Buffer.from(new SharedArrayBuffer(3))
  const empty = Buffer.alloc(0)

  for (const bytes of [pooled, part, shared, empty]) freeNow(bytes)

  expect(pooled.toString()).toBe('a few bytes of the pool')
  expect([part.length, shared.length, empty.length]).toEqual([9_999, 3, 0])
})
