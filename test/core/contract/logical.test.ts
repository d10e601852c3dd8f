import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { decodePayload, encodePayload, fingerprintOf } from '../../../src/core/contract/codec.ts'
import { conform } from '../../../src/core/contract/conform.ts'
import type { ContractDefinition } from '../../../src/core/contract/contract.ts'
import { singleObjectPrefix } from '../../../src/core/envelope/framing.ts'

type Field = Readonly<Record<string, unknown>>

/** A contract with one version for each list of fields; it reads and writes the last, unless another is said. */
function definitionOf(versions: readonly (readonly Field[])[], version = versions.length): ContractDefinition {
  const schemas = versions.map((fields): AvroSchema => ({ type: 'record', name: 'test.Probe', fields }))
  return {
    kind: 'event',
    name: 'test.Probe',
    version,
    topic: 'probes',
    key: null,
    replies: [],
    versions: schemas.map((schema, index) => ({ version: index + 1, fingerprint: fingerprintOf(schema), schema })),
  }
}

function probe(type: AvroSchema): ContractDefinition {
  return definitionOf([[{ name: 'value', type }]])
}

/** What a value of a type is on the wire, without its frame. */
function payloadOf(type: AvroSchema, value: unknown): string {
  const definition = probe(type)
  return encodePayload(definition, conform(definition, { value })).toString('hex', 10)
}

function read(type: AvroSchema, hex: string): unknown {
  const definition = probe(type)
  const prefix = singleObjectPrefix(definition.versions[0]?.fingerprint ?? '')
  return Reflect.get(Object(decodePayload(definition, Buffer.concat([prefix, Buffer.from(hex, 'hex')]))), 'value')
}

const millis = { type: 'long', logicalType: 'timestamp-millis' }
const micros = { type: 'long', logicalType: 'timestamp-micros' }
const date = { type: 'int', logicalType: 'date' }
const uuid = { type: 'string', logicalType: 'uuid' }
const money = { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }
const fixedMoney = { type: 'fixed', name: 'Money', size: 4, logicalType: 'decimal', precision: 9, scale: 2 }
const bigint = { type: 'long', 'x-js': 'bigint' }

// The bytes are those that Apache Avro's Java library writes for these values.
test.each<[string, AvroSchema, unknown, string]>([
  ['a time in milliseconds', millis, new Date('2026-01-31T12:00:00.123Z'), varint(1769860800123n)],
  ['a time before 1970', millis, new Date(-1), '01'],
  ['a time in microseconds', micros, '2026-01-31T12:00:00.123456Z', varint(1769860800123456n)],
  ['the last microsecond that there is', micros, '9999-12-31T23:59:59.999999Z', varint(253402300799999999n)],
  ['the first microsecond that there is', micros, '0000-01-01T00:00:00.000000Z', varint(-62167219200000000n)],
  ['a day', date, '2026-01-31', varint(20484n)],
  ['a day before 1970', date, '1969-12-31', '01'],
  ['a UUID', uuid, '0198f000-0000-7000-8000-000000000001', `48${Buffer.from('0198f000-0000-7000-8000-000000000001').toString('hex')}`],
  ['12.50', money, '12.50', '0404e2'],
  ['zero', money, '0.00', '0200'],
  ['-0.01', money, '-0.01', '02ff'],
  ['1.28, whose highest bit is not its sign', money, '1.28', '040080'],
  ['-1.28', money, '-1.28', '0280'],
  ['12.50 in four bytes', fixedMoney, '12.50', '000004e2'],
  ['-0.01 in four bytes', fixedMoney, '-0.01', 'ffffffff'],
  ['the largest bigint', bigint, 2n ** 63n - 1n, 'feffffffffffffffff01'],
  ['the smallest bigint', bigint, -(2n ** 63n), 'ffffffffffffffffff01'],
  ['a bigint whose sign avsc turns', bigint, -4503599627370497n, varint(-4503599627370497n)],
])('writes %s as Avro has it, and reads it back', (_what, type, value, hex) => {
  expect(payloadOf(type, value)).toBe(hex)
  expect(read(type, hex)).toEqual(value)
})

/** Zigzag, then seven bits a byte. */
function varint(value: bigint): string {
  let rest = value >= 0n ? value * 2n : -value * 2n - 1n
  const bytes: number[] = []
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(rest)]).toString('hex')
}

const decimals = fc
  .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 30n - 1n }))
  .map(
    ([negative, unscaled]) =>
      `${negative && unscaled > 0n ? '-' : ''}${unscaled / 10n ** 10n}.${String(unscaled % 10n ** 10n).padStart(10, '0')}`,
  )

test.each<[string, AvroSchema, fc.Arbitrary<unknown>]>([
  [
    'timestamp-millis',
    millis,
    fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
  ],
  [
    'timestamp-micros',
    micros,
    fc
      .tuple(
        fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
        fc.nat(999),
      )
      .map(([time, rest]) => `${time.toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}Z`),
  ],
  ['decimal', { type: 'bytes', logicalType: 'decimal', precision: 30, scale: 10 }, decimals],
  ['decimal in a fixed', { type: 'fixed', name: 'D', size: 13, logicalType: 'decimal', precision: 30, scale: 10 }, decimals],
  ['bigint', bigint, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  ['uuid', uuid, fc.uuid()],
  ['nullable time', ['null', millis], fc.option(fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }))],
  [
    'union of looks',
    ['null', millis, 'string', 'boolean'],
    fc.oneof(fc.constant(null), fc.boolean(), fc.string(), fc.constant(new Date(5))),
  ],
])('reads back every %s that it wrote', (_name, type, values) => {
  const definition = probe(type)

  fc.assert(
    fc.property(values, (value) => {
      const data = conform(definition, { value })
      expect(data).toEqual({ value })
      expect(decodePayload(definition, encodePayload(definition, data))).toEqual({ value })
    }),
    { numRuns: 500 },
  )
})

test.each<[string, AvroSchema, unknown, unknown]>([
  ['digits that a decimal leaves out', money, '12.5', '12.50'],
  ['a whole number', money, '12', '12.00'],
  ['a minus without a value', money, '-0', '0.00'],
  ['zeros in front', money, '007.10', '7.10'],
  ['digits that a time leaves out', micros, '2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000000Z'],
])('puts into one form: %s', (_what, type, value, normal) => {
  expect(conform(probe(type), { value })).toEqual({ value: normal })
})

test.each<[string, AvroSchema, unknown, string]>([
  ['a decimal with too many digits after the point', money, '12.505', 'at most 7 digits before the point and 2 after it, got "12.505"'],
  ['a decimal with too many digits', money, '12345678.00', 'at most 7 digits before the point'],
  ['a number as a decimal, which was a float already', money, 12.5, 'must be a decimal as text'],
  ['a decimal in words', money, '1e3', 'must be a decimal as text'],
  ['February 30', date, '2026-02-30', 'must be a day'],
  ['a Date as a day', date, new Date(0), 'must be a day of the years 0000 to 9999 as text, got an object (Date)'],
  ['a Date that is none', millis, new Date(Number.NaN), 'must be a Date'],
  ['a Date in the year 10000', millis, new Date(253_402_300_800_000), 'must be a Date of the years 0000 to 9999'],
  ['a text as a Date', millis, '2026-01-31T12:00:00Z', 'Send a valid Date'],
  ['nanoseconds', micros, '2026-01-31T12:00:00.123456789Z', 'at most 6 digits after the seconds'],
  ['a time of another zone', micros, '2026-01-31T12:00:00+01:00', 'must be a time in UTC'],
  ['an hour that there is not', micros, '2026-01-31T25:00:00Z', 'must be a time in UTC'],
  ['a text as a UUID', uuid, 'order-1', 'must be a UUID, got "order-1"'],
  ['a number as a bigint', bigint, 5, 'must be a bigint of 64 bits, got 5'],
  ['a bigint beyond 64 bits', bigint, 2n ** 63n, 'must be a bigint of 64 bits'],
  ['a Date for null or a text', ['null', 'string'], new Date(0), 'must be a text, got an object (Date)'],
])('refuses %s, with its path', (_what, type, value, problem) => {
  expect(() => conform(probe(type), { value })).toThrow(
    expect.objectContaining({
      code: 'CONTRACT_VIOLATED',
      message: expect.stringContaining(problem),
      details: { type: 'test.Probe.v1', path: 'value' },
    }),
  )
})

test.each<[string, AvroSchema, string, string]>([
  ['a time in the year 10000', millis, varint(253_402_300_800_000n), 'a time is not in the years 0000 to 9999'],
  ['a time beyond all clocks', micros, varint(2n ** 63n - 1n), 'a time is not in the years 0000 to 9999'],
  ['a day beyond all calendars', date, varint(2n ** 31n - 1n), 'a day is not in the years'],
  ['a UUID that is none', uuid, `0c${Buffer.from('order1').toString('hex')}`, 'a text is no UUID'],
  ['a decimal without bytes', money, '00', 'a decimal has no bytes'],
  ['a decimal with too many digits', money, '0a3b9aca0000', 'a decimal has more than 9 digits'],
  ['a decimal of a thousand bytes', money, `d00f${'7f'.repeat(1000)}`, 'a decimal has more than 9 digits'],
  ['a long of more than 64 bits', bigint, 'ffffffffffffffffffff01', 'a long has more than 64 bits'],
  ['a number that is none', 'double', '000000000000f87f', 'a number is not finite'],
  ['an infinite float', 'float', '0000807f', 'a number is not finite'],
  ['a text that is not UTF-8', 'string', '02ff', 'a text is not UTF-8'],
  ['half a character', 'string', '06eda080', 'a text is not UTF-8'],
  ['an int beyond its range', 'int', varint(2n ** 31n), 'an int is out of range'],
  ['a symbol that there is not', { type: 'enum', name: 'E', symbols: ['A'] }, '02', 'not the number of a symbol'],
  ['a branch that there is not', ['null', 'string'], '04', 'invalid union index'],
  [
    'a key that changes prototypes',
    { type: 'map', values: 'int' },
    `0212${Buffer.from('__proto__').toString('hex')}0200`,
    'the key "__proto__"',
  ],
])('a received value that holds %s is an error with its path', (_what, type, hex, problem) => {
  expect(() => read(type, hex)).toThrow(
    expect.objectContaining({
      code: 'PAYLOAD_UNREADABLE',
      message: expect.stringContaining(problem),
      details: expect.objectContaining({ path: expect.stringMatching(/^value(\.__proto__)?$/) }),
    }),
  )
})

test('tells the path inside lists, maps, unions and records of a value that cannot be read', () => {
  const line = { type: 'record', name: 'Line', fields: [{ name: 'prices', type: { type: 'map', values: ['null', money] } }] }
  const hex = [
    '04', // two lines
    '00', // the first has no prices
    '02', // one price
    `06${Buffer.from('eur').toString('hex')}`,
    '02',
    '0a3b9aca0000',
  ].join('')

  expect(() => read({ type: 'array', items: line }, hex)).toThrow(
    expect.objectContaining({
      details: { name: 'test.Probe', path: 'value.1.prices.eur' },
      message: expect.stringContaining('at "value.1.prices.eur"'),
    }),
  )
})

test('fills in a default in the form of its logical type, a new one for each message', () => {
  const id = { name: 'id', type: 'int' }
  const added = [
    { name: 'at', type: millis, default: 5 },
    { name: 'seen', type: micros, default: 1_000_001 },
    { name: 'day', type: date, default: 1 },
    { name: 'price', type: money, default: '\u0004\u00e2' },
    { name: 'fixed', type: fixedMoney, default: '\u0000\u0000\u0004\u00e2' },
    { name: 'serial', type: bigint, default: 7 },
    { name: 'maybe', type: [millis, 'null'], default: 6 },
  ]
  const expected = {
    id: 1,
    at: new Date(5),
    seen: '1970-01-01T00:00:01.000001Z',
    day: '1970-01-02',
    price: '12.50',
    fixed: '12.50',
    serial: 7n,
    maybe: new Date(6),
  }
  const versions = [[id], [id, ...added]]
  const value = encodePayload(definitionOf(versions, 1), { id: 1 })

  const [first, second] = [decodePayload(definitionOf(versions), value), decodePayload(definitionOf(versions), value)]

  expect(conform(definitionOf(versions), { id: 1 })).toEqual(expected)
  expect(first).toEqual(expected)
  for (const name of ['at', 'maybe']) expect(Reflect.get(Object(first), name)).not.toBe(Reflect.get(Object(second), name))
})

test('reads an int as a time, a text as bytes of a decimal, and a logical type as the plain one', () => {
  const pairs: readonly [written: AvroSchema, value: unknown, read: AvroSchema, expected: unknown][] = [
    ['int', 5, millis, new Date(5)],
    ['int', -5, bigint, -5n],
    [date, '1970-01-02', 'long', 1],
    [date, '1970-01-02', 'double', 1],
    [millis, new Date(5), 'long', 5],
    [millis, new Date(5), 'float', 5],
    ['long', 5, millis, new Date(5)],
    [money, '12.50', 'bytes', Buffer.from('04e2', 'hex')],
    ['string', 'ab', money, '249.30'],
    [['null', millis], new Date(5), ['null', millis, 'string'], new Date(5)],
    [millis, new Date(5), ['null', millis], new Date(5)],
    [bigint, 5n, 'long', 5],
  ]
  const id = { name: 'id', type: 'int' }
  for (const [written, value, wanted, expected] of pairs) {
    // Another field makes the fingerprints differ.
    const versions = [
      [{ name: 'value', type: written }],
      [
        { name: 'value', type: wanted },
        { ...id, default: 0 },
      ],
    ]
    const bytes = encodePayload(definitionOf(versions, 1), { value })

    expect(decodePayload(definitionOf(versions), bytes)).toEqual({ value: expected, id: 0 })
  }
})

test.each<[string, AvroSchema, unknown, AvroSchema]>([
  ['a decimal of another scale', money, '12.50', { ...money, scale: 4 }],
  ['microseconds as milliseconds', micros, '1970-01-01T00:00:00.000005Z', millis],
  ['milliseconds as microseconds', millis, new Date(5), micros],
])('does not read %s: the values would be silently wrong', (_what, written, value, wanted) => {
  const versions = [
    [{ name: 'value', type: written }],
    [
      { name: 'value', type: wanted },
      { name: 'id', type: 'int', default: 0 },
    ],
  ]
  const bytes = encodePayload(definitionOf(versions, 1), { value })

  expect(() => decodePayload(definitionOf(versions), bytes)).toThrow(expect.objectContaining({ code: 'SCHEMA_INCOMPATIBLE' }))
})

test('refers to a decimal by its name', () => {
  const definition = definitionOf([
    [
      { name: 'net', type: fixedMoney },
      { name: 'gross', type: 'Money' },
      { name: 'rest', type: ['null', 'Money'], default: null },
    ],
  ])
  const data = { net: '1.00', gross: '1.19', rest: '-3.00' }

  expect(decodePayload(definition, encodePayload(definition, conform(definition, data)))).toEqual(data)
})

test('names the path of a value of a logical type that was changed after it was checked', () => {
  expect(() => encodePayload(probe(money), { value: 12 })).toThrow(
    expect.objectContaining({ code: 'CONTRACT_VIOLATED', details: expect.objectContaining({ path: 'value' }) }),
  )
})
