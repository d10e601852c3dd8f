import { expect, test } from 'vitest'
import { TestClock } from '../../../src/faces/testing/test-clock.ts'

test('whoever sleeps until the point to which time is moved wakes at once, and nobody else', async () => {
  const clock = new TestClock()
  const woken: string[] = []
  const leaving = new AbortController()
  const minute = clock.sleep(60_000).then(() => woken.push('minute'))
  const hour = clock.sleep(3_600_000, leaving.signal).then(() => woken.push('hour'))

  clock.advance(60_000)
  await minute
  const afterAMinute = [...woken]
  leaving.abort()
  await hour

  expect(afterAMinute).toEqual(['minute'])
  expect(woken).toEqual(['minute', 'hour'])
})

test('both clocks move together', () => {
  const clock = new TestClock()
  const [wall, monotonic] = [clock.now(), clock.monotonic()]

  clock.advance(86_400_000)

  expect(clock.now() - wall).toBeGreaterThanOrEqual(86_400_000)
  expect(clock.monotonic() - monotonic).toBeGreaterThanOrEqual(86_400_000)
  expect(clock.aheadMs).toBe(86_400_000)
})
