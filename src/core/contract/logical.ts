import type { AvroType, DecimalType, LogicalType } from './avro.ts'
import { decimalBytes, decimalText, sizedDecimalBytes, unscaledIn, unscaledOf } from './decimal.ts'
import { dayOf, daysOf, microsOf, microsText, TIME_MAX_MS, TIME_MIN_MS } from './time-text.ts'

/** What Avro writes for a logical type: its underlying type's own value. */
export type Wire = number | bigint | string | Buffer

/** How a value of JavaScript stands for one on the wire, and back. */
export interface Conversion {
  /** @returns the value in its one normal form; `undefined` when it does not fit */
  readonly accept: (value: unknown) => unknown
  /** What a value must be, to continue `"price" …`. */
  readonly expected: string
  readonly mend: string
  /** Of an accepted value. */
  readonly toWire: (value: unknown) => Wire
  /** @throws Error the wire's value has no counterpart */
  readonly fromWire: (wire: Wire) => unknown
}

/** What decides how a type's values look in JavaScript. */
export interface Meaning {
  readonly kind: AvroType['kind']
  readonly logical?: LogicalType
  readonly js?: 'bigint'
  /** Of a fixed. */
  readonly size?: number
}

/**
 * The conversion of a type that needs one.
 *
 * - `timestamp-millis`: a `Date`
 * - `timestamp-micros`: a text, `2026-01-31T12:00:00.123456Z`, because a `Date` would lose the microseconds
 * - `date`: a text, `2026-01-31`, because a `Date` would add a time and a time zone
 * - `uuid`: a text
 * - `decimal`: a text with exactly `scale` digits after the point, `12.50`, because a number would not be exact
 * - a long with `x-js: "bigint"`: a bigint
 */
export function conversionOf({ logical, js, size }: Meaning): Conversion | undefined {
  if (js === 'bigint') return BIGINT
  if (logical === undefined) return undefined
  return logical.name === 'decimal' ? decimal(logical, size) : CONVERSIONS[logical.name]
}

/** Whether values written as the one would be misread as the other; what has no logical type fits all. */
export function isMisread(written: LogicalType | undefined, read: LogicalType | undefined): boolean {
  if (written === undefined || read === undefined) return false
  if (written.name === 'decimal' && read.name === 'decimal') return written.scale !== read.scale
  return written.name !== read.name
}

const INT64_MAX = 2n ** 63n - 1n
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const BIGINT: Conversion = {
  accept: (value) => (typeof value === 'bigint' && value <= INT64_MAX && value >= -INT64_MAX - 1n ? value : undefined),
  expected: 'must be a bigint of 64 bits',
  mend: 'Send a bigint (1250n) between -2^63 and 2^63 - 1',
  toWire: (value) => value as bigint,
  fromWire: (wire) => BigInt(wire as bigint | number),
}

const CONVERSIONS: Readonly<Record<Exclude<LogicalType['name'], 'decimal'>, Conversion>> = {
  date: {
    accept: (value) => (typeof value === 'string' && daysOf(value) !== undefined ? value : undefined),
    expected: 'must be a day of the years 0000 to 9999 as text',
    mend: 'Send "2026-01-31"',
    toWire: (value) => daysOf(value as string) ?? Number.NaN,
    fromWire: (wire) => dayOf(Number(wire)),
  },
  'timestamp-millis': {
    // A copy: a Date can be changed.
    accept: (value) =>
      value instanceof Date && value.getTime() >= TIME_MIN_MS && value.getTime() <= TIME_MAX_MS ? new Date(value) : undefined,
    expected: 'must be a Date of the years 0000 to 9999',
    mend: 'Send a valid Date',
    toWire: (value) => (value as Date).getTime(),
    fromWire: (wire) => {
      const time = Number(wire)
      if (!(time >= TIME_MIN_MS && time <= TIME_MAX_MS)) throw new Error('a time is not in the years 0000 to 9999')
      return new Date(time)
    },
  },
  'timestamp-micros': {
    accept: (value) => {
      const micros = typeof value === 'string' ? microsOf(value) : undefined
      return micros === undefined ? undefined : microsText(micros)
    },
    expected: 'must be a time in UTC as text, with at most 6 digits after the seconds',
    mend: 'Send "2026-01-31T12:00:00.123456Z" (date.toISOString() of a Date)',
    toWire: (value) => microsOf(value as string) ?? Number.NaN,
    fromWire: (wire) => microsText(wire as number | bigint),
  },
  uuid: {
    accept: (value) => (typeof value === 'string' && UUID.test(value) ? value : undefined),
    expected: 'must be a UUID',
    mend: 'Send "0198f000-0000-7000-8000-000000000001"',
    toWire: (value) => value as string,
    fromWire: (wire) => {
      if (!UUID.test(wire as string)) throw new Error('a text is no UUID')
      return wire
    },
  },
}

function decimal(type: DecimalType, size: number | undefined): Conversion {
  const { precision, scale } = type
  const unscaled = (value: unknown): bigint | undefined => (typeof value === 'string' ? unscaledOf(value, type) : undefined)
  const example = decimalText(1250n % 10n ** BigInt(precision), scale)
  return {
    accept: (value) => {
      const whole = unscaled(value)
      return whole === undefined ? undefined : decimalText(whole, scale)
    },
    expected: `must be a decimal as text, with at most ${precision - scale} digits before the point and ${scale} after it`,
    mend: `Send "${example}", rounded by you`,
    toWire: (value) => {
      const whole = unscaled(value) ?? 0n
      return size === undefined ? decimalBytes(whole) : sizedDecimalBytes(whole, size)
    },
    fromWire: (wire) => decimalText(unscaledIn(wire as Buffer, type), scale),
  }
}
