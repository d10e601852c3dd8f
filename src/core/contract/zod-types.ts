import { z } from 'zod'
import { FLOAT_MAX, LONG_MAX, LONG_MIN } from './check.ts'
import { unscaledOf } from './decimal.ts'
import { conversionOf, type Meaning } from './logical.ts'

/** Both allowed. */
interface Bounds<Value> {
  readonly min?: Value
  readonly max?: Value
}

/** Of a text in UTF-16 units. */
interface TextRules extends Bounds<number> {
  /** A regular expression with the flag `u`. */
  readonly pattern?: string
}

/** Bounds as text: `'0.01'`. */
interface Decimal extends Bounds<string> {
  readonly precision: number
  readonly scale: number
}

/**
 * The types of Avro in zod, for the schemas that `trunkline schema generate` writes. They take what the constructors of
 * messages take; `min` and `max` of texts, bytes, lists and maps are lengths.
 */
export const avro = {
  int: ({ min, max }: Bounds<number> = {}) => bounded(z.int32(), min, max),
  /** What a JavaScript number holds exactly, in the range that is written. */
  long: ({ min = LONG_MIN, max = LONG_MAX }: Bounds<number> = {}) => bounded(z.int(), Math.max(min, LONG_MIN), Math.min(max, LONG_MAX)),
  bigint: ({ min = -(2n ** 63n), max = 2n ** 63n - 1n }: Bounds<bigint> = {}) => z.int64().min(min).max(max),
  float: ({ min, max }: Bounds<number> = {}) => bounded(z.number().min(-FLOAT_MAX).max(FLOAT_MAX), min, max),
  double: ({ min, max }: Bounds<number> = {}) => bounded(z.number(), min, max),
  /** Without half characters, which no UTF-8 can write. */
  string: ({ min, max, pattern }: TextRules = {}) => {
    const whole = z.string().refine((value) => value.isWellFormed(), 'expected a text without half characters')
    const bounds = whole.min(min ?? 0).max(max ?? Number.MAX_SAFE_INTEGER, { abort: true })
    return pattern === undefined ? bounds : bounds.regex(new RegExp(pattern, 'u'))
  },
  bytes: (length: Bounds<number> = {}) => sized(z.instanceof(Uint8Array), (bytes) => bytes.length, length, 'bytes'),
  fixed: (size: number) => z.instanceof(Uint8Array).refine((bytes) => bytes.length === size, `expected ${size} bytes`),
  array: <Item extends z.ZodType>(item: Item, length: Bounds<number>) => sized(z.array(item), (items) => items.length, length, 'items'),
  map: <Value extends z.ZodType>(value: Value, length: Bounds<number> = {}) =>
    sized(
      z
        .custom<z.input<z.ZodRecord<z.ZodString, Value>>>(
          (map) => !Object.hasOwn(Object(map), '__proto__'),
          'expected a map without the key "__proto__"',
        )
        .pipe(z.record(avro.string(), value)),
      (map) => Object.keys(map).length,
      length,
      'entries',
    ),
  uuid: () => text({ kind: 'string', logical: { name: 'uuid' } }),
  /** `2026-01-31` */
  date: () => text({ kind: 'int', logical: { name: 'date' } }),
  timestampMillis: () => {
    const { fits, expected } = ruleOf({ kind: 'long', logical: { name: 'timestamp-millis' } })
    return z.date().refine(fits, expected)
  },
  /** `2026-01-31T12:00:00.123456Z` */
  timestampMicros: () => text({ kind: 'long', logical: { name: 'timestamp-micros' } }),
  /** `12.50`, exact */
  decimal: ({ precision, scale, min, max }: Decimal) => {
    const type = { name: 'decimal', precision, scale } as const
    const unscaled = (text: string): bigint => unscaledOf(text, type) ?? 0n
    return text({ kind: 'bytes', logical: type })
      .refine((text) => min === undefined || unscaled(text) >= unscaled(min), `expected at least ${min}`)
      .refine((text) => max === undefined || unscaled(text) <= unscaled(max), `expected at most ${max}`)
  },
}

/** A text in its normal form: `12.5` becomes `12.50`. */
function text(meaning: Meaning): z.ZodString {
  const { fits, expected, normal } = ruleOf(meaning)
  return z.string().refine(fits, { abort: true, message: expected }).overwrite(normal)
}

interface Rule {
  readonly fits: (value: unknown) => boolean
  readonly expected: string
  readonly normal: (text: string) => string
}

/** The rules of a logical type are those by which messages are checked and encoded. */
function ruleOf(meaning: Meaning): Rule {
  const conversion = conversionOf(meaning)
  return {
    fits: (value) => conversion?.accept(value) !== undefined,
    expected: `it ${conversion?.expected ?? ''}`,
    normal: (value) => {
      const accepted = conversion?.accept(value)
      return typeof accepted === 'string' ? accepted : value
    },
  }
}

function bounded(number: z.ZodNumber, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY): z.ZodNumber {
  const above = min === Number.NEGATIVE_INFINITY ? number : number.min(min)
  return max === Number.POSITIVE_INFINITY ? above : above.max(max)
}

function sized<Schema extends z.ZodType>(
  schema: Schema,
  lengthOf: (value: z.output<Schema>) => number,
  { min, max }: Bounds<number>,
  unit: string,
): Schema {
  return schema
    .refine((value) => min === undefined || lengthOf(value) >= min, `expected at least ${min} ${unit}`)
    .refine((value) => max === undefined || lengthOf(value) <= max, `expected at most ${max} ${unit}`)
}
