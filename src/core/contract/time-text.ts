/** 0000-01-01 and the last millisecond of 9999: what ISO 8601 writes with four digits of a year. */
export const TIME_MIN_MS = -62_167_219_200_000
export const TIME_MAX_MS = 253_402_300_799_999

const DAY_MS = 86_400_000
const DAY = /^\d{4}-\d\d-\d\d$/
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z$/

/** @returns days since 1970-01-01; `undefined` when the text is no day of the calendar */
export function daysOf(day: string): number | undefined {
  if (!DAY.test(day)) return undefined
  const time = Date.parse(day)
  // Date takes February 31 for March 3.
  return Number.isNaN(time) || !new Date(time).toISOString().startsWith(day) ? undefined : time / DAY_MS
}

/** @throws Error the day is not in the years 0000 to 9999 */
export function dayOf(days: number): string {
  const time = days * DAY_MS
  if (!(time >= TIME_MIN_MS && time <= TIME_MAX_MS)) throw new Error('a day is not in the years 0000 to 9999')
  return new Date(time).toISOString().slice(0, 10)
}

/** @returns microseconds since 1970, as a bigint where a number would not be exact; `undefined` when it is no time */
export function microsOf(text: string): number | bigint | undefined {
  const [, seconds, fraction = ''] = TIME.exec(text) ?? []
  if (seconds === undefined) return undefined
  const time = Date.parse(`${seconds}Z`)
  if (Number.isNaN(time) || !new Date(time).toISOString().startsWith(seconds)) return undefined
  const micros = time * 1000 + Number(fraction.padEnd(6, '0'))
  return Number.isSafeInteger(micros) ? micros : BigInt(time) * 1000n + BigInt(fraction.padEnd(6, '0'))
}

/**
 * The time as text, always with six digits after the seconds.
 *
 * @throws Error the time is not in the years 0000 to 9999
 */
export function microsText(micros: number | bigint): string {
  const [time, rest] = typeof micros === 'bigint' ? split(micros) : [Math.floor(micros / 1000), ((micros % 1000) + 1000) % 1000]
  if (!(time >= TIME_MIN_MS && time <= TIME_MAX_MS)) throw new Error('a time is not in the years 0000 to 9999')
  return `${new Date(time).toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}Z`
}

function split(micros: bigint): [number, number] {
  const rest = ((micros % 1000n) + 1000n) % 1000n
  return [Number((micros - rest) / 1000n), Number(rest)]
}
