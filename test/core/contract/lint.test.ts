import { expect, test } from 'vitest'
import { lint } from '../../../src/core/contract/lint.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { event, folderOf } from './schema-folder.ts'

const v1 = 'orders/OrderPlaced.v1.avsc'
const channel = { type: 'enum', name: 'Channel', symbols: ['WEB', 'PHONE'] }
const field = (type: unknown, name = 'note', more: object = {}): object => ({ name, type, ...more })

function findings(files: object): readonly (readonly [file: string, pointer: string, rule: string])[] {
  return lint(loadSchemas(folderOf({ ...files }))).map(({ file, pointer, rule }) => [file, pointer, rule])
}

test('has nothing against schemas that can grow', () => {
  const files = {
    [v1]: event('OrderPlaced', [
      field(['null', 'string'], 'note', { default: null }),
      field({ ...channel, default: 'WEB' }, 'channel'),
      field({ type: 'array', items: ['null', 'string'] }, 'notes'),
      field('shop.common.Money', 'total'),
      field({ type: 'string', 'x-pattern': '^[A-Z]{3}$', 'x-max-length': 3 }, 'currency'),
    ]),
    'common/Money.v1.avsc': {
      type: 'record',
      name: 'Money',
      namespace: 'shop.common',
      fields: [field('long', 'amount'), field('double', 'rate')],
    },
  }

  expect(findings(files)).toEqual([])
})

test("has nothing against the repository's own schemas", () => {
  expect(lint(loadSchemas('schemas'))).toEqual([])
})

test.each<[string, object, string, string]>([
  ['an enum without a default', field(channel), '/fields/1/type', 'ENUM_DEFAULT_MISSING'],
  [
    'an enum without a default, deep inside',
    field({ type: 'map', values: { type: 'array', items: channel } }),
    '/fields/1/type/values/items',
    'ENUM_DEFAULT_MISSING',
  ],
  ['a union of two types', field(['string', 'long']), '/fields/1/type', 'UNION_SHAPE'],
  ['a union with null and two more', field(['null', 'string', 'long'], 'note', { default: null }), '/fields/1/type', 'UNION_SHAPE'],
  ['a union with null last', field(['string', 'null'], 'note', { default: '' }), '/fields/1/type', 'UNION_SHAPE'],
  ['a union with null alone', field(['null'], 'note', { default: null }), '/fields/1/type', 'UNION_SHAPE'],
  ['a nullable field without a default', field(['null', 'string']), '/fields/1', 'NULL_DEFAULT_MISSING'],
  ['an amount as a double', field('double', 'totalAmount'), '/fields/1/type', 'MONEY_AS_FLOAT'],
  ['prices as floats', field({ type: 'array', items: 'float' }, 'unit_prices'), '/fields/1/type', 'MONEY_AS_FLOAT'],
  ['a total that may be null', field(['null', 'double'], 'orderTotal', { default: null }), '/fields/1/type', 'MONEY_AS_FLOAT'],
  [
    'any float of a record that is money',
    field({ type: 'record', name: 'Money', fields: [field('double', 'value')] }),
    '/fields/1/type/fields/0/type',
    'MONEY_AS_FLOAT',
  ],
  ['a pattern for texts of any length', field({ type: 'string', 'x-pattern': '^(a+)+$' }), '/fields/1/type', 'PATTERN_WITHOUT_LENGTH'],
  [
    'a pattern in a list that may be null',
    field(['null', { type: 'array', items: { type: 'string', 'x-pattern': '^a$' } }], 'note', { default: null }),
    '/fields/1/type/1/items',
    'PATTERN_WITHOUT_LENGTH',
  ],
])('objects to %s', (_what, bad, pointer, rule) => {
  expect(findings({ [v1]: event('OrderPlaced', [bad]) })).toEqual([[v1, pointer, rule]])
})

test.each(['taxRate', 'discountPercent', 'totalWeight', 'sumOfParts', 'latitude', 'feeds', 'costFactor'])(
  'takes a double called %s for no money',
  (name) => {
    expect(findings({ [v1]: event('OrderPlaced', [field('double', name)]) })).toEqual([])
  },
)

test('judges a type that has a file of its own there, and only there', () => {
  const files = {
    [v1]: event('OrderPlaced', [field('shop.common.Channel', 'a'), field('shop.common.Channel', 'b')]),
    'common/Channel.v1.avsc': { ...channel, namespace: 'shop.common' },
  }

  expect(findings(files)).toEqual([['common/Channel.v1.avsc', '', 'ENUM_DEFAULT_MISSING']])
})

test('objects once to a type that stands in several places, also when it contains itself', () => {
  const line = { type: 'record', name: 'Line', fields: [field(channel, 'channel'), field({ type: 'array', items: 'Line' }, 'parts')] }

  const found = findings({ [v1]: event('OrderPlaced', [field(line, 'a'), field('Line', 'b')]) })

  expect(found).toEqual([[v1, '/fields/1/type/fields/0/type', 'ENUM_DEFAULT_MISSING']])
})

test('objects to two namespaces in one folder', () => {
  const files = { [v1]: event('OrderPlaced'), 'orders/OrderSent.v1.avsc': { ...event('OrderSent'), namespace: 'acme.orders' } }

  expect(findings(files)).toEqual([[v1, '/namespace', 'NAMESPACE_DIFFERS']])
})

test('objects to a type that moves to another namespace, which Avro calls compatible and our decoder does not', () => {
  const inner = (namespace: string): object => field({ ...channel, namespace, default: 'WEB' }, 'channel')
  const files = {
    [v1]: event('OrderPlaced', [inner('shop.orders')]),
    'orders/OrderPlaced.v2.avsc': event('OrderPlaced', [inner('shop.channels')]),
  }

  expect(findings(files)).toEqual([['orders/OrderPlaced.v2.avsc', '/fields/1/type', 'NAMESPACE_CHANGED']])
})

test('says what is so, whom it hurts and what to do', () => {
  const [finding] = lint(loadSchemas(folderOf({ [v1]: event('OrderPlaced', [field('double', 'total')]) })))

  expect(finding).toEqual({
    file: v1,
    pointer: '/fields/1/type',
    rule: 'MONEY_AS_FLOAT',
    problem: '"total" sounds like money and is a floating-point number, which cannot hold 0.10 exactly.',
    mend: 'Use a long in minor units (1250 is 12.50), or bytes with "logicalType": "decimal".',
  })
})
