import { expect, test } from 'vitest'
import type { RegistrySchema } from '../../../src/core/contract/registry.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { parseStandalone } from '../../../src/core/contract/schema-parser.ts'
import { WriterSchemas } from '../../../src/core/contract/writer-schemas.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { event, folderOf } from './schema-folder.ts'

/** Each record holds the next one twice: a few lines, and 2^levels values. */
function doubling(levels: number, least: unknown, leastName: unknown = least): object {
  let inner = least
  let name = leastName
  for (let level = levels; level >= 0; level--) {
    const fields = [
      { name: 'a', type: inner },
      { name: 'b', type: name },
    ]
    name = `shop.R${level}`
    inner = { type: 'record', name, fields }
  }
  return inner as object
}

function nested(levels: number): unknown {
  let type: unknown = 'string'
  for (let level = 0; level < levels; level++) type = { type: 'array', items: type }
  return type
}

const record = (name: string, ...types: unknown[]): object => ({
  type: 'record',
  name,
  fields: types.map((type, index) => ({ name: `f${index}`, type })),
})
const listOf = (items: unknown): object => record('shop.List', { type: 'array', items })

test.each<[string, object]>([
  ['a tree, whose children are a list', record('shop.Tree', { type: 'array', items: 'shop.Tree' })],
  ['a chain, whose next may be null', record('shop.Chain', ['null', 'shop.Chain'])],
  ['two records that refer to each other where one may be null', record('shop.A', record('shop.B', ['null', 'shop.A']), 'shop.B')],
  ['a record used ten times', record('shop.A', record('shop.B', 'int'), ...Array.from({ length: 9 }, () => 'shop.B'))],
  ['two thousand fields', record('shop.A', ...Array.from({ length: 2_000 }, () => 'int'))],
  ['a placeholder', record('shop.A', 'null', record('shop.Empty'))],
  ['lists in lists', record('shop.A', nested(40))],
])('%s can be read by', (_what, schema) => {
  expect(parseStandalone(schema as never, 'x')).toMatchObject({ kind: 'record' })
})

const hostile: readonly [string, object, RegExp][] = [
  ['2^30 numbers', doubling(30, 'int'), /more than 10000 parts/],
  ['2^30 values of no bytes', doubling(30, record('shop.Empty'), 'shop.Empty'), /more than 10000 parts/],
  ['lists of 2^30 numbers', listOf(doubling(30, 'int')), /more than 10000 parts/],
  ['thousands of values of no bytes for each item', listOf(doubling(10, record('shop.Empty'), 'shop.Empty')), /no bytes/],
  ['a hundred nulls', record('shop.A', ...Array.from({ length: 100 }, () => 'null')), /101 parts that take no bytes/],
  ['itself', record('shop.A', 'shop.A'), /"shop\.A" would contain another one/],
  ['itself through another', record('shop.A', record('shop.B', 'shop.A')), /would contain another one/],
  ['itself in every branch', record('shop.A', ['shop.A']), /would contain another one/],
  ['types nested without an end', record('shop.A', nested(1_000)), /nested deeper than/],
]

test.each(hostile)('a schema whose values hold %s is refused at once, with its place', (_what, schema, says) => {
  const begin = performance.now()

  expect(() => parseStandalone(schema as never, 'orders/A.v1.avsc')).toThrow(says)

  expect(performance.now() - begin).toBeLessThan(1_000)
})

test.each(hostile)('one of a registry whose values hold %s is not read by', async (_what, schema) => {
  const registry = { getById: async (): Promise<RegistrySchema> => ({ schema: JSON.stringify(schema) }), register: async () => 1 }
  const writers = new WriterSchemas({ registry, clock: systemClock })

  await writers.load(1)

  expect(() => writers.get(1)).toThrow(expect.objectContaining({ code: 'SCHEMA_UNUSABLE' }))
})

test('a deep type is built in no time: each level once', () => {
  const folder = folderOf({ 'orders/Deep.v1.avsc': event('Deep', [{ name: 'x', type: nested(50) }]) })
  const begin = performance.now()

  expect(loadSchemas(folder)).toHaveLength(1)

  expect(performance.now() - begin).toBeLessThan(2_000)
})

test('in a file the place and the mend are named', () => {
  const folder = folderOf({ 'orders/Endless.v1.avsc': event('Endless', [{ name: 'next', type: 'Endless' }]) })

  expect(() => loadSchemas(folder)).toThrow(/orders\/Endless\.v1\.avsc#.*"shop\.orders\.Endless" would contain another.*\["null", "shop/)
})
