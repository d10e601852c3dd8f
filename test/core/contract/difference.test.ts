import { expect, test } from 'vitest'
import { differences } from '../../../src/core/contract/difference.ts'
import { event } from './schema-folder.ts'

const field = (name: string, type: unknown, more: object = {}): object => ({ name, type, ...more })

function told(before: readonly object[], after: readonly object[], routing: object = {}): string[] {
  return differences(event('OrderPlaced', before), event('OrderPlaced', after, routing)).map(
    ({ pointer, side, text }) => `${side} ${pointer} ${text}`,
  )
}

test.each<[string, object[], object[], string[]]>([
  ['nothing', [field('a', 'int')], [field('a', { type: 'int' })], []],
  ['a new field', [], [field('a', ['null', 'string'], { default: null })], ['after /fields/1 "a" is new: null or string, default null']],
  ['a field that is gone', [field('a', { type: 'array', items: 'int' })], [], ['before /fields/1 "a" is gone; it was array of int']],
  ['another type', [field('a', 'int')], [field('a', 'long')], ['after /fields/1/type "a" was int and is long']],
  [
    'another type inside',
    [field('a', { type: 'map', values: 'int' })],
    [field('a', { type: 'map', values: 'long' })],
    ['after /fields/1/type/values values of "a" was int and is long'],
  ],
  ['a new default', [field('a', 'int')], [field('a', 'int', { default: 1 })], ['after /fields/1/default default of "a" is new: 1']],
  [
    'another default',
    [field('a', 'int', { default: 0 })],
    [field('a', 'int', { default: 1 })],
    ['after /fields/1/default default of "a" was 0 and is 1'],
  ],
  [
    'no default any more',
    [field('a', 'int', { default: 0 })],
    [field('a', 'int')],
    ['before /fields/1/default default of "a" is gone; it was 0'],
  ],
  [
    'another order',
    [field('a', 'int'), field('b', 'int')],
    [field('b', 'int'), field('a', 'int')],
    ['after /fields the fields stand in another order, which is that of the bytes'],
  ],
  [
    'another description',
    [field('a', 'int', { doc: 'A.' })],
    [field('a', 'int', { doc: 'B.' })],
    ['after /fields/1/doc the description of "a" changed'],
  ],
  [
    'another scale',
    [field('a', { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 })],
    [field('a', { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 4 })],
    ['after /fields/1/type/scale scale of "a" was 2 and is 4'],
  ],
  [
    'symbols',
    [field('a', { type: 'enum', name: 'E', symbols: ['X', 'Y'] })],
    [field('a', { type: 'enum', name: 'E', symbols: ['Z', 'X'] })],
    ['after /fields/1/type/symbols/0 the symbol "Z" of "a" is new', 'before /fields/1/type/symbols/1 the symbol "Y" of "a" is gone'],
  ],
  [
    'what is in a branch',
    [field('a', ['null', { type: 'record', name: 'R', fields: [field('b', 'int')] }])],
    [field('a', ['null', { type: 'record', name: 'R', fields: [field('b', 'long')] }])],
    ['after /fields/1/type/1/fields/0/type "b" was int and is long'],
  ],
  [
    'a new version of another file',
    [field('a', 'shop.Money.v1')],
    [field('a', 'shop.Money.v2')],
    ['after /fields/1/type "a" was shop.Money.v1 and is shop.Money.v2'],
  ],
])('tells %s', (_what, before, after, expected) => {
  expect(told(before, after)).toEqual(expected)
})

test('points into the newer file where fields moved, and into the older one for what is gone', () => {
  const before = [field('gone', 'int'), field('a', 'int')]

  expect(told(before, [field('a', 'long')])).toEqual([
    'after /fields/1/type "a" was int and is long',
    'before /fields/1 "gone" is gone; it was int',
  ])
})

test('tells another routing', () => {
  expect(told([], [], { topic: 'sales' })).toEqual(['after /trunkline/topic topic of the schema was "orders" and is "sales"'])
})
