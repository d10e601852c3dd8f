import { expect, test } from 'vitest'
import { type CompatibilityLevel, type CompatibilityPolicy, checkEvolution } from '../../../src/core/contract/evolution.ts'
import type { Finding } from '../../../src/core/contract/finding.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { event, folderOf } from './schema-folder.ts'

const field = (name: string, type: unknown, more: object = {}): object => ({ name, type, ...more })
const versions = (...fields: readonly (readonly object[])[]): Record<string, unknown> =>
  Object.fromEntries(fields.map((each, index) => [`orders/OrderPlaced.v${index + 1}.avsc`, event('OrderPlaced', each)]))

function check(files: Readonly<Record<string, unknown>>, policy: Partial<CompatibilityPolicy> = {}): readonly Finding[] {
  return checkEvolution(loadSchemas(folderOf(files)), { compatibility: 'FULL_TRANSITIVE', overrides: {}, ...policy })
}

test('has nothing against a field that is added with a default, and one with a default that goes', () => {
  expect(check(versions([field('note', 'string', { default: '' })], [field('currency', ['null', 'string'], { default: null })]))).toEqual(
    [],
  )
})

test('tells the author of the newer version what breaks whom, and what to do', () => {
  const found = check(versions([field('note', 'string'), field('total', 'int')], [field('total', 'long'), field('sku', 'string')]))

  expect(found).toEqual([
    {
      file: 'orders/OrderPlaced.v2.avsc',
      pointer: '/fields/2',
      rule: 'READER_FIELD_MISSING_DEFAULT_VALUE',
      problem: '"sku" is new and has no default: version 2 cannot read what version 1 wrote.',
      mend: 'Give it one: "type": ["null", …], "default": null.',
    },
    {
      file: 'orders/OrderPlaced.v2.avsc',
      pointer: '/fields',
      rule: 'READER_FIELD_MISSING_DEFAULT_VALUE',
      problem: '"note" is gone, and older versions have no default for it: a program built with version 1 cannot read version 2.',
      mend: 'Keep the field.',
    },
    {
      file: 'orders/OrderPlaced.v2.avsc',
      pointer: '/fields/1/type',
      rule: 'TYPE_MISMATCH',
      problem: '"total" is long and was int: a program built with version 1 cannot read version 2.',
      mend: 'Keep int, and add a field with a default for what is new.',
    },
  ])
})

test('says once what breaks several versions in both directions', () => {
  const money = (scale: number): object => field('total', { type: 'bytes', logicalType: 'decimal', precision: 9, scale })

  const found = check(versions([money(2)], [money(2), field('note', 'string', { default: '' })], [money(4)]))

  expect(found.map(({ file, pointer, problem }) => `${file}#${pointer} ${problem}`)).toEqual([
    'orders/OrderPlaced.v3.avsc#/fields/1/type/scale "total" is decimal(9, 4) and was decimal(9, 2); the bytes are the same, and each value means something else: ' +
      'version 3 cannot read what versions 1, 2 wrote, and a program built with versions 1, 2 cannot read version 3.',
  ])
})

test.each<[CompatibilityLevel, readonly string[]]>([
  ['NONE', []],
  ['BACKWARD', ['v2 new']],
  ['BACKWARD_TRANSITIVE', ['v2 new', 'v3 new']],
  ['FORWARD', ['v3 gone']],
  ['FORWARD_TRANSITIVE', ['v3 gone']],
  ['FULL', ['v2 new', 'v3 gone']],
  ['FULL_TRANSITIVE', ['v2 new', 'v3 new', 'v3 gone']],
])('at the level %s it finds %j', (compatibility, expected) => {
  const kept = field('sku', 'string')

  const found = check(versions([field('note', 'string')], [field('note', 'string'), kept], [kept]), { compatibility })

  expect(found.map(({ file, problem }) => `${/v\d/.exec(file)?.[0]} ${/new|gone/.exec(problem)?.[0]}`)).toEqual(expected)
})

test('a message may have a level of its own', () => {
  const files = {
    ...versions([], [field('sku', 'string')]),
    'orders/Other.v1.avsc': event('Other'),
    'orders/Other.v2.avsc': event('Other', [field('sku', 'string')]),
  }

  const found = check(files, { overrides: { 'shop.orders.Other': 'NONE' } })

  expect(found.map(({ file }) => file)).toEqual(['orders/OrderPlaced.v2.avsc'])
})

test('an override for no message is a mistake, and near names are suggested', () => {
  expect(() => check(versions([]), { overrides: { 'shop.orders.OrderPlacd': 'NONE' } })).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('did you mean "shop.orders.OrderPlaced"?') }),
  )
})

test('points at the reference in the file, and says where in the other file the difference is', () => {
  const money = (type: string): object => ({ type: 'record', name: 'Money', namespace: 'shop.common', fields: [field('amount', type)] })
  const files = {
    ...versions([field('total', 'shop.common.Money.v1')], [field('total', { type: 'array', items: 'shop.common.Money.v2' })]),
    'orders/OrderPaid.v1.avsc': event('OrderPaid', [field('totals', { type: 'array', items: 'shop.common.Money.v1' })]),
    'orders/OrderPaid.v2.avsc': event('OrderPaid', [field('totals', { type: 'array', items: 'shop.common.Money.v2' })]),
    'common/Money.v1.avsc': money('int'),
    'common/Money.v2.avsc': money('string'),
  }

  const found = check(files, { compatibility: 'BACKWARD', overrides: { 'shop.common.Money': 'NONE' } })

  expect(found.map(({ file, pointer, problem }) => [file, pointer, problem])).toEqual([
    [
      'orders/OrderPaid.v2.avsc',
      '/fields/1/type/items',
      '"amount" is string and was int (in shop.common.Money#/fields/0/type): version 2 cannot read what version 1 wrote.',
    ],
    ['orders/OrderPlaced.v2.avsc', '/fields/1/type', '"total" is array and was record: version 2 cannot read what version 1 wrote.'],
  ])
})

test('needs no more words where the reference itself is what breaks', () => {
  const files = {
    ...versions([field('total', 'long')], [field('total', 'shop.common.Money')]),
    'common/Money.v1.avsc': { type: 'record', name: 'Money', namespace: 'shop.common', fields: [field('amount', 'long')] },
  }

  expect(check(files, { compatibility: 'BACKWARD' }).map(({ pointer, problem }) => [pointer, problem])).toEqual([
    ['/fields/1/type', '"total" is record and was long: version 2 cannot read what version 1 wrote.'],
  ])
})

test.each<[string, unknown, unknown, string]>([
  ['a symbol that goes', ['A', 'B'], ['A'], 'the symbols "B" of "channel" are gone, and it has no default'],
  ['a symbol that comes', ['A'], ['A', 'B'], 'the symbols "B" of "channel" are new, and the enum had no default'],
])('explains %s', (_what, before, after, problem) => {
  const channel = (symbols: unknown): object => field('channel', { type: 'enum', name: 'Channel', symbols })

  const [found, ...more] = check(versions([channel(before)], [channel(after)]))

  expect(more).toEqual([])
  expect(found).toMatchObject({
    pointer: '/fields/1/type/symbols',
    rule: 'MISSING_ENUM_SYMBOLS',
    problem: expect.stringContaining(problem),
  })
})

test.each<[string, object, object, string, string]>([
  [
    'a branch that goes',
    field('note', ['null', 'string']),
    field('note', ['string']),
    '/fields/1/type',
    'the branch null of "note" is gone',
  ],
  [
    'a branch that comes',
    field('note', ['string']),
    field('note', ['null', 'string']),
    '/fields/1/type/0',
    'the branch null of "note" is new',
  ],
  [
    'another size',
    field('hash', { type: 'fixed', name: 'Hash', size: 16 }),
    field('hash', { type: 'fixed', name: 'Hash', size: 20 }),
    '/fields/1/type/size',
    '"hash" is 20 bytes and was 16 bytes',
  ],
  [
    'another name',
    field('hash', { type: 'fixed', name: 'Hash', size: 16 }),
    field('hash', { type: 'fixed', name: 'Sum', size: 16 }),
    '/fields/1/type/name',
    'the type of "hash" is called shop.orders.Sum and was called shop.orders.Hash',
  ],
])('explains %s', (_what, before, after, pointer, problem) => {
  const found = check(versions([before], [after]))

  expect(found.map((each) => each.pointer)).toEqual([pointer])
  expect(found[0]?.problem).toContain(problem)
})
