import { expect, test } from 'vitest'
import { loadCatalogue } from '../../../src/core/contract/catalogue.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { parseStandalone } from '../../../src/core/contract/schema-parser.ts'
import { event, folderOf } from './schema-folder.ts'

type Field = Readonly<Record<string, unknown>>

const money = { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }

function folderWith(field: Field): string {
  return folderOf({ 'orders/Probe.v1.avsc': event('Probe', [{ name: 'value', ...field }]) })
}

/** Makes a message whose field `value` has these rules; what it threw, if it did. */
function problemOf(field: Field, value: unknown): unknown {
  const make = loadCatalogue(folderWith(field)).byName('shop.orders.Probe')
  try {
    Reflect.apply(Object(make), undefined, [{ id: '1', value }])
  } catch (error) {
    return error
  }
  return undefined
}

test.each<[string, Field, unknown, string]>([
  ['a number below its bound', { type: 'int', 'x-min': 1 }, 0, '"value" must be at least 1, got 0.'],
  ['a number above its bound', { type: 'long', 'x-max': 100 }, 101, '"value" must be at most 100, got 101.'],
  ['a fraction above its bound', { type: 'double', 'x-max': 0.5 }, 0.51, '"value" must be at most 0.5, got 0.51.'],
  ['a decimal below its bound', { type: money, 'x-min': '0.01' }, '0.00', '"value" must be at least 0.01, got "0.00".'],
  ['a decimal below its bound, though its text is not', { type: money, 'x-min': '9' }, '-10', '"value" must be at least 9, got "-10".'],
  [
    'a bigint above its bound',
    { type: 'long', 'x-js': 'bigint', 'x-max': '9223372036854775806' },
    2n ** 63n - 1n,
    'must be at most 9223372036854775806',
  ],
  ['a text that is too short', { type: 'string', 'x-min-length': 2 }, 'a', '"value" must have at least 2 characters, got "a".'],
  ['a text that is too long', { type: 'string', 'x-max-length': 3 }, 'abcd', '"value" must have at most 3 characters, got "abcd".'],
  [
    'a text that is too long for its pattern, which would look for ever',
    { type: 'string', 'x-max-length': 20, 'x-pattern': '^(a+)+$' },
    `${'a'.repeat(60)}!`,
    '"value" must have at most 20 characters, got a text of 61 characters.',
  ],
  ['a text of another form', { type: 'string', 'x-pattern': '^[A-Z]{3}$' }, 'EURO', '"value" must match ^[A-Z]{3}$, got "EURO".'],
  ['too many bytes', { type: 'bytes', 'x-max-length': 1 }, Buffer.alloc(2), '"value" must have at most 1 bytes'],
  ['too few items', { type: { type: 'array', items: 'int' }, 'x-min-length': 1 }, [], '"value" must have at least 1 items, got an array.'],
  ['too many entries', { type: { type: 'map', values: 'int' }, 'x-max-length': 1 }, { a: 1, b: 2 }, '"value" must have at most 1 entries'],
  ['what is not null and too small', { type: ['null', 'int'], default: null, 'x-min': 1 }, 0, '"value" must be at least 1, got 0.'],
  ['an item', { type: { type: 'array', items: { type: 'int', 'x-max': 5 } } }, [1, 6], '"value.1" must be at most 5, got 6.'],
  [
    'a value of a map',
    { type: { type: 'map', values: { type: 'string', 'x-max-length': 1 } } },
    { eur: 'ab' },
    '"value.eur" must have at most 1',
  ],
])('refuses %s, with the path, the bound and the value', (_what, field, value, message) => {
  expect(problemOf(field, value)).toMatchObject({ code: 'CONTRACT_VIOLATED', message: expect.stringContaining(message) })
})

test.each<[string, Field, unknown]>([
  ['both bounds', { type: 'int', 'x-min': 1, 'x-max': 3 }, 1],
  ['both bounds', { type: 'int', 'x-min': 1, 'x-max': 3 }, 3],
  ['null beside a rule', { type: ['null', 'int'], default: null, 'x-min': 1 }, null],
  ['a decimal at its bound', { type: money, 'x-min': '0.01', 'x-max': '10' }, '10'],
  ['a whole plane of characters', { type: 'string', 'x-pattern': '^.$' }, '😀'],
])('accepts %s', (_what, field, value) => {
  expect(problemOf(field, value)).toBeUndefined()
})

test('does not show the value of a field that is tagged, nor what is inside it', () => {
  const address = { type: 'record', name: 'Address', fields: [{ name: 'street', type: 'string', 'x-max-length': 3 }] }

  const direct = problemOf({ type: 'string', 'x-max-length': 3, 'confluent:tags': ['PII'] }, 'Baker')
  const inside = problemOf({ type: address, 'confluent:tags': ['PII'] }, { street: 'Baker' })
  const number = problemOf({ type: 'int', 'confluent:tags': ['PII'] }, 4711.5)

  expect(direct).toMatchObject({ message: expect.stringContaining('"value" must have at most 3 characters, got a text of 5 characters') })
  expect(inside).toMatchObject({
    message: expect.stringContaining('"value.street" must have at most 3 characters, got a text of 5 characters'),
  })
  expect(number).toMatchObject({ message: expect.stringContaining('"value" must be an integer, got a number') })
})

test('shows what stands in the same type elsewhere', () => {
  const address = { type: 'record', name: 'Address', fields: [{ name: 'street', type: 'string', 'x-max-length': 3 }] }
  const files = {
    'orders/Probe.v1.avsc': event('Probe', [
      { name: 'home', type: address, 'confluent:tags': ['PII'] },
      { name: 'shop', type: 'Address' },
    ]),
  }
  const make = loadCatalogue(folderOf(files)).byName('shop.orders.Probe')

  expect(() => Reflect.apply(Object(make), undefined, [{ id: '1', home: { street: 'ab' }, shop: { street: 'Baker' } }])).toThrow(
    '"shop.street" must have at most 3 characters, got "Baker"',
  )
})

const at = 'orders/Probe.v1.avsc#/fields/1'

test.each<[string, Field, string]>([
  ['a bound that is no number', { type: 'int', 'x-min': '1' }, `${at}/x-min: the bound of a whole number is a whole number`],
  ['a bound of a decimal as a number', { type: money, 'x-min': 0.01 }, `${at}/x-min: the bound of a decimal is a text`],
  ['a bound of a text', { type: 'string', 'x-min': 1 }, `${at}/x-min: it says nothing about a value of type string`],
  ['a length of a number', { type: 'int', 'x-max-length': 1 }, `${at}/x-max-length: it says nothing about a value of type int`],
  [
    'a rule beside a time',
    { type: { type: 'long', logicalType: 'timestamp-millis' }, 'x-min': 1 },
    'nothing about a value of type timestamp-millis',
  ],
  ['a rule beside a union of several', { type: ['null', 'int', 'string'], 'x-min': 1 }, `${at}/x-min: it says nothing`],
  ['bounds that exclude each other', { type: 'int', 'x-min': 5, 'x-max': 4 }, `${at}/x-max: 4 is less than the lower bound 5`],
  [
    'decimal bounds that exclude each other',
    { type: money, 'x-min': '10', 'x-max': '9' },
    `${at}/x-max: "9" is less than the lower bound "10"`,
  ],
  ['a pattern that is none', { type: 'string', 'x-pattern': '(' }, `${at}/x-pattern: this is no regular expression`],
  ['a default that breaks the rule', { type: 'int', 'x-min': 1, default: 0 }, `${at}/default: the default 0 must be at least 1`],
  ['a mistyped rule', { type: 'int', 'x-mim': 1 }, `${at}/x-mim: "x-mim" is not known here (did you mean "x-min"?)`],
  ['rules in two places', { type: { type: 'int', 'x-min': 1 }, 'x-max': 2 }, `${at}: rules stand beside the type and beside its field`],
  ['bigint beside a text', { type: 'string', 'x-js': 'bigint' }, `${at}/x-js: only a long`],
  ['another JavaScript type', { type: 'long', 'x-js': 'number' }, `${at}/x-js: "bigint" is all it may say`],
  [
    'encryption, which is not built',
    { type: 'string', 'x-encrypt': { subject: 'id' } },
    `${at}/x-encrypt: encryption is not built yet: the value would travel in clear`,
  ],
  ['encryption for nobody', { type: 'string', 'x-encrypt': true }, `${at}/x-encrypt: this is {"subject": "customerId"}`],
  ['tags that are no list', { type: 'string', 'confluent:tags': 'PII' }, `${at}/confluent:tags: this is a list of texts`],
  [
    'an unknown logical type',
    { type: { type: 'int', logicalType: 'time-millis' } },
    `${at}/type/logicalType: "time-millis" is none of date`,
  ],
  [
    'a logical type beside the field, where Avro ignores it',
    { type: 'long', logicalType: 'timestamp-millis' },
    `${at}/logicalType: beside a field Avro ignores it`,
  ],
  [
    'a logical type of another type',
    { type: { type: 'string', logicalType: 'date' } },
    `${at}/type/logicalType: "date" is for int, this is string`,
  ],
  ['a decimal without precision', { type: { type: 'bytes', logicalType: 'decimal' } }, `${at}/type/precision: a decimal needs "precision"`],
  [
    'a scale above the precision',
    { type: { ...money, scale: 10 } },
    `${at}/type/scale: "scale" is the number of digits after the point: 0 to 9`,
  ],
  [
    'a fixed that is too small for its decimal',
    { type: { type: 'fixed', name: 'F', size: 2, logicalType: 'decimal', precision: 5, scale: 0 } },
    `${at}/type/precision: 5 digits do not fit into 2 bytes`,
  ],
  [
    'a default that is no day',
    { type: { type: 'int', logicalType: 'date' }, default: 2 ** 31 - 1 },
    `${at}/default: the default 2147483647 does not fit`,
  ],
  ['a union of two texts in JavaScript', { type: ['null', 'string', money] }, `${at}/type/2: bytes cannot be told from string`],
])('refuses %s, naming the file and the place', (_what, field, message) => {
  expect(() => loadSchemas(folderWith(field))).toThrow(
    expect.objectContaining({ code: 'SCHEMA_INVALID', message: expect.stringContaining(message) }),
  )
})

test('leaves attributes of other tools alone', () => {
  const [file] = loadSchemas(
    folderWith({ type: { type: 'string', 'avro.java.string': 'String' }, 'x-catalogue-owner': 'team-a', order: 'ignore' }),
  )

  expect(file?.schema).toMatchObject({ fields: [{ name: 'id' }, { name: 'value', type: 'string' }] })
})

test('a time in milliseconds is no key: it is a Date, and its text depends on who writes it', () => {
  const fields = [{ name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } }]

  expect(() => loadSchemas(folderOf({ 'orders/Probe.v1.avsc': event('Probe', fields, { key: 'at' }) }))).toThrow(
    'the key "at" is of type timestamp-millis',
  )
})

test('rules, tags and logical types survive in the schema that is generated, and change no fingerprint', () => {
  const plain = loadSchemas(folderWith({ type: 'long' }))[0]
  const ruled = loadSchemas(
    folderWith({ type: { type: 'long', 'x-js': 'bigint' }, 'x-min': 1, 'x-max': '9223372036854775807', 'confluent:tags': ['PII'] }),
  )[0]

  expect(ruled?.fingerprint).toBe(plain?.fingerprint)
  expect(parseStandalone(ruled?.schema ?? 'null', 'x')).toMatchObject({
    fields: [
      { name: 'id' },
      { name: 'value', type: { kind: 'long', js: 'bigint', rules: { min: 1, max: '9223372036854775807' } }, tags: ['PII'] },
    ],
  })
})
