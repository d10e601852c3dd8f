import { expect, test } from 'vitest'
import { WakeUp } from '../../../src/core/outbox/wake-up.ts'

const never = new AbortController().signal

test('a ring while nobody waits is kept for the next one who does', async () => {
  const bell = new WakeUp()

  bell.wake()

  expect(await bell.wait(60_000, never)).toBe(true)
  expect(await bell.wait(1, never)).toBe(false)
})

test('who is put off waits from then on', async () => {
  const bell = new WakeUp()
  const begun = performance.now()
  const waiting = bell.wait(40, never)
  // The loop may be late: then it is put off once more, or the wait was over.
  const putOff = setInterval(() => bell.putOff(), 10)

  setTimeout(() => clearInterval(putOff), 200)
  await waiting

  expect(performance.now() - begun).toBeGreaterThan(100)
})

test('nobody is put off who does not wait', async () => {
  const bell = new WakeUp()

  bell.putOff()

  expect(await bell.wait(1, never)).toBe(false)
})
