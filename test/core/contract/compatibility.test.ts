import avsc from 'avsc'
import { describe, expect, test } from 'vitest'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { type Incompatibility, incompatibilities } from '../../../src/core/contract/compatibility.ts'
import { avscType } from '../../../src/core/contract/guarded-avro.ts'
import { readable, unreadable } from './apache-vectors.ts'

test.each(readable)('as Apache Avro says, %j can read %j', (reader, writer) => {
  expect(incompatibilities(reader, writer)).toEqual([])
})

test.each(unreadable)('as Apache Avro says, %j cannot read %j', (reader, writer, ...reasons) => {
  const found = incompatibilities(reader, writer)

  expect(found.map((each) => [each.kind, javaLocation(each)])).toEqual(reasons)
})

describe('beyond Apache Avro', () => {
  const at = (logicalType: string, more: object = {}): AvroSchema => ({ type: 'long', logicalType, ...more })
  const money = (scale: number | undefined, precision = 9): AvroSchema => ({ type: 'bytes', logicalType: 'decimal', precision, scale })

  test.each<[string, AvroSchema, AvroSchema, string, string, string]>([
    ['micros as millis', at('timestamp-millis'), at('timestamp-micros'), '/logicalType', 'timestamp-millis', 'timestamp-micros'],
    ['a time as a number', 'long', at('timestamp-millis'), '/logicalType', 'no logical type', 'timestamp-millis'],
    ['a date as a time', at('timestamp-millis'), { type: 'int', logicalType: 'date' }, '/logicalType', 'timestamp-millis', 'date'],
    ['another scale', money(4), money(2), '/scale', 'decimal(9, 4)', 'decimal(9, 2)'],
    ['a scale where there was none', money(2), money(undefined), '/scale', 'decimal(9, 2)', 'decimal(9, 0)'],
    ['another precision', money(2, 12), money(2), '/precision', 'decimal(12, 2)', 'decimal(9, 2)'],
  ])('refuses to read %s, although bytes and fingerprint are the same', (_what, reader, writer, pointer, readerHas, writerHas) => {
    expect(incompatibilities(reader, writer)).toEqual([
      { kind: 'LOGICAL_TYPE_MISMATCH', reader: pointer, writer: pointer, subject: '', readerHas, writerHas },
    ])
  })

  test('reads a decimal that leaves its scale of 0 unsaid', () => {
    expect(incompatibilities(money(0), money(undefined))).toEqual([])
  })

  test('looks into the branch that the writer meant, where Java only says that a branch is missing', () => {
    const order = (...fields: object[]): AvroSchema => ['null', { type: 'record', name: 'Order', fields }]

    const found = incompatibilities(
      order({ name: 'id', type: 'string' }, { name: 'sku', type: 'string' }),
      order({ name: 'id', type: 'int' }),
    )

    expect(found.map(({ kind, reader, writer }) => ({ kind, reader, writer }))).toEqual([
      { kind: 'TYPE_MISMATCH', reader: '/1/fields/0/type', writer: '/1/fields/0/type' },
      { kind: 'READER_FIELD_MISSING_DEFAULT_VALUE', reader: '/1/fields/1', writer: '/1/fields' },
    ])
  })

  test('says once what is wrong with a type that stands in many places', () => {
    const order = (amount: AvroSchema): AvroSchema => ({
      type: 'record',
      name: 'shop.Order',
      fields: [
        { name: 'net', type: { type: 'record', name: 'Money', fields: [{ name: 'amount', type: amount }] } },
        { name: 'gross', type: 'shop.Money' },
        { name: 'parts', type: { type: 'array', items: 'Order' } },
      ],
    })

    const found = incompatibilities(order('int'), order('long'))

    expect(found.map(({ kind, reader }) => [kind, reader])).toEqual([['TYPE_MISMATCH', '/fields/0/type/fields/0/type']])
  })

  test('finds a renamed field and a renamed type by the aliases of the reader', () => {
    const writer: AvroSchema = { type: 'record', name: 'shop.Old', fields: [{ name: 'amount', type: 'long' }] }
    const reader: AvroSchema = {
      type: 'record',
      name: 'shop.New',
      aliases: ['Old'],
      fields: [{ name: 'total', aliases: ['amount'], type: 'long' }],
    }

    expect(incompatibilities(reader, writer)).toEqual([])
    expect(incompatibilities(writer, reader).map(({ kind }) => kind)).toEqual(['NAME_MISMATCH', 'READER_FIELD_MISSING_DEFAULT_VALUE'])
  })
})

describe('the resolver that decodes agrees', () => {
  /** Unions that avsc itself cannot tell apart in JavaScript, and that no schema of ours may have. */
  const isAmbiguous = (schema: AvroSchema): boolean => {
    try {
      avscType(schema)
      return false
    } catch {
      return true
    }
  }
  const pairs = [...readable.map(([reader, writer]) => [reader, writer] as const), ...unreadable.map(([a, b]) => [a, b] as const)]
  /** Where they differ, and why that cannot reach a message. */
  const known = [
    // avsc compares namespaces; the lint keeps them as they are.
    JSON.stringify(readable.at(-1)),
  ]
  const judged = pairs.filter((pair) => !pair.some(isAmbiguous) && !known.includes(JSON.stringify(pair)))

  test('about enough pairs to mean something', () => {
    expect(judged.length).toBeGreaterThan(90)
  })

  test.each(judged)('about %j and %j', (reader, writer) => {
    expect(incompatibilities(reader, writer).length === 0).toBe(resolves(reader, writer))
  })

  test('and alone would let a changed scale pass', () => {
    const decimal = (scale: number): avsc.Schema => ({ type: 'bytes', logicalType: 'decimal', precision: 9, scale }) as avsc.Schema

    expect(() => avsc.Type.forSchema(decimal(4)).createResolver(avsc.Type.forSchema(decimal(2)))).not.toThrow()
    expect(incompatibilities(decimal(4), decimal(2))).toHaveLength(1)
  })
})

function resolves(reader: AvroSchema, writer: AvroSchema): boolean {
  try {
    avscType(reader).createResolver(avscType(writer))
    return true
  } catch {
    return false
  }
}

/** Java names the reader's place; for the branches of a union it goes on with the writer's number. */
function javaLocation({ kind, reader, writer }: Incompatibility): string {
  const number = /\/\d+$/.exec(writer)?.[0] ?? ''
  const isBranch = kind === 'MISSING_UNION_BRANCH' || (reader === '' && kind === 'TYPE_MISMATCH')
  const location = isBranch && !reader.endsWith(number) ? reader + number : reader
  return location === '' ? '/' : location
}
