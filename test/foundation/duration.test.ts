import { expect, test } from 'vitest'
import { duration, durationMs } from '../../src/foundation/duration.ts'

test.each([
  ['250ms', 250],
  ['5s', 5_000],
  ['1.5m', 90_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
])('%s is %d milliseconds', (text, ms) => {
  expect(durationMs(text)).toBe(ms)
})

test.each(['', '5', 's', '-1s', '5 s', '5min', '1e3ms', 'NaNs'])('"%s" is no duration', (text) => {
  expect(durationMs(text)).toBeUndefined()
})

test('a duration outside of its bounds is refused with the bounds', () => {
  const schema = duration({ min: '10ms', max: '1m' })

  expect(schema.safeParse('1m').data).toBe(60_000)
  expect(schema.safeParse('2m').error?.issues[0]?.message).toBe('expected a duration from 10ms to 1m')
})
