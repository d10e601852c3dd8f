import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fingerprintOf } from '../../../src/core/contract/codec.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { event, folderOf } from './schema-folder.ts'

const money = {
  type: 'record',
  name: 'Money',
  namespace: 'shop.common',
  fields: [
    { name: 'amount', type: 'long' },
    { name: 'currency', type: 'string' },
  ],
}
const reply = (name: string, topic = 'orders.replies'): object => event(name, [], { kind: 'reply', topic })
const command = (name: string, replies: readonly string[]): object =>
  event(name, [], { kind: 'command', topic: 'orders.commands', replies })

test('reads messages sorted by name and version, and leaves alone what is none', () => {
  const folder = folderOf({
    'orders/OrderPlaced.v2.avsc': event('OrderPlaced', [{ name: 'note', type: 'string', default: '' }]),
    'orders/OrderPlaced.v1.avsc': event('OrderPlaced'),
    'orders/OrderDropped.v1.avsc': event('OrderDropped'),
    'envelope/EventEnvelope.avsc': { type: 'record', name: 'EventEnvelope', fields: [] },
    'orders/README.md': 'no schema',
  })

  const files = loadSchemas(folder)

  expect(files.map(({ file, name, version }) => [file, name, version])).toEqual([
    ['orders/OrderDropped.v1.avsc', 'shop.orders.OrderDropped', 1],
    ['orders/OrderPlaced.v1.avsc', 'shop.orders.OrderPlaced', 1],
    ['orders/OrderPlaced.v2.avsc', 'shop.orders.OrderPlaced', 2],
  ])
  expect(files[0]?.routing).toEqual({ kind: 'event', topic: 'orders', key: 'id', replies: [] })
})

test.each<[string, unknown, RegExp]>([
  [
    'a misspelt "trunkline"',
    { ...event('A'), trunkline: undefined, trunklne: {} },
    /orders\/A\.v1\.avsc#\/trunklne: .*did you mean "trunkline"/,
  ],
  ['a byte order mark', `\uFEFF${JSON.stringify(event('A'))}`, /orders\/A\.v1\.avsc#: it begins with a byte order mark.*Save it as UTF-8/],
])('a file with %s is refused by name', (_what, content, says) => {
  const folder = folderOf({ 'orders/A.v1.avsc': content })

  expect(() => loadSchemas(folder)).toThrow(says)
})

test('puts in what a schema refers to where it is used first, in full names', () => {
  const folder = folderOf({
    'orders/OrderPlaced.v1.avsc': event('OrderPlaced', [
      { name: 'total', type: 'shop.common.Money' },
      { name: 'paid', type: ['null', 'shop.common.Money'], default: null },
    ]),
    'common/Money.v1.avsc': money,
  })

  const [, order] = loadSchemas(folder)

  expect(order?.schema).toEqual({
    type: 'record',
    name: 'shop.orders.OrderPlaced',
    fields: [
      { name: 'id', type: 'string' },
      { name: 'total', type: { type: 'record', name: 'shop.common.Money', fields: money.fields } },
      { name: 'paid', type: ['null', 'shop.common.Money'], default: null },
    ],
  })
  expect(order?.fingerprint).toBe(fingerprintOf(order?.schema ?? 'null'))
})

test('a new version of what a schema refers to changes nothing for those who named the old one', () => {
  const released = {
    'orders/Plain.v1.avsc': event('Plain', [{ name: 'total', type: 'shop.common.Money' }]),
    'orders/Pinned.v1.avsc': event('Pinned', [{ name: 'total', type: 'shop.common.Money.v1' }]),
    'common/Money.v1.avsc': money,
  }
  const next = {
    ...released,
    'orders/Plain.v1.avsc': event('Plain', [{ name: 'total', type: 'shop.common.Money.v1' }]),
    'orders/Pinned.v2.avsc': event('Pinned', [{ name: 'total', type: 'shop.common.Money.v2' }]),
    'common/Money.v2.avsc': { ...money, fields: [...money.fields, { name: 'rate', type: 'double', default: 1 }] },
  }
  const fingerprints = (files: object): Map<string, string> =>
    new Map(loadSchemas(folderOf({ ...files })).map((file) => [file.file, file.fingerprint]))

  const [before, after] = [fingerprints(released), fingerprints(next)]

  for (const [file, fingerprint] of before) expect([file, after.get(file)]).toEqual([file, fingerprint])
  expect(after.get('orders/Pinned.v2.avsc')).not.toBe(after.get('orders/Pinned.v1.avsc'))
})

const v1 = 'orders/OrderPlaced.v1.avsc'
const withField = (field: object): object => ({ [v1]: event('OrderPlaced', [field]) })
const withRouting = (routing: object): object => ({ [v1]: event('OrderPlaced', [], routing) })

test.each<[string, object, string]>([
  ['no JSON', { [v1]: '{"type": "record",}' }, `${v1}#: this is not JSON`],
  [
    'another name than its file',
    { [v1]: event('OrderPlased') },
    `${v1}#/name: the file is named for "OrderPlaced", the schema for "OrderPlased"`,
  ],
  [
    'a namespace of another folder',
    { [v1]: { ...event('OrderPlaced'), namespace: 'shop.sales' } },
    `${v1}#/namespace: the namespace ends in the folder's name, for example "shop.orders"`,
  ],
  [
    'a message without a version',
    { 'orders/OrderPlaced.avsc': event('OrderPlaced') },
    'orders/OrderPlaced.avsc#: a message stands in <domain>/<Name>.v<N>.avsc',
  ],
  [
    'a gap between versions',
    { [v1]: event('OrderPlaced'), 'orders/OrderPlaced.v3.avsc': event('OrderPlaced') },
    'orders/OrderPlaced.v3.avsc#: versions count from 1 without a gap, and version 2 is missing',
  ],
  [
    'versions on different topics',
    { [v1]: event('OrderPlaced'), 'orders/OrderPlaced.v2.avsc': event('OrderPlaced', [], { topic: 'sales' }) },
    'orders/OrderPlaced.v2.avsc#/trunkline/topic: versions of a message agree on its topic',
  ],
  [
    'a mistyped type',
    withField({ name: 'total', type: 'lonng' }),
    `${v1}#/fields/1/type: "shop.orders.lonng" is neither an Avro type nor defined by a schema file (did you mean "long"?)`,
  ],
  [
    'a reference to no file',
    withField({ name: 'total', type: 'shop.common.Money' }),
    '"shop.common.Money" is neither an Avro type nor defined by a schema file',
  ],
  [
    'a reference to no version',
    { ...withField({ name: 'total', type: 'shop.common.Money.v7' }), 'common/Money.v1.avsc': money },
    `${v1}#/fields/1/type: it refers to "shop.common.Money.v7", which no schema file defines (its versions are 1)`,
  ],
  [
    'a reference that does not say which of several versions',
    {
      ...withField({ name: 'total', type: ['null', 'shop.common.Money'], default: null }),
      'common/Money.v1.avsc': money,
      'common/Money.v2.avsc': money,
    },
    `${v1}#/fields/1/type/1: "shop.common.Money" has the versions v1, v2, and a reference must say which. Write "shop.common.Money.v1"`,
  ],
  [
    'two versions of one type',
    {
      'orders/Both.v1.avsc': event('Both', [
        { name: 'a', type: 'shop.common.Money.v1' },
        { name: 'b', type: 'shop.common.Money.v2' },
      ]),
      'common/Money.v1.avsc': money,
      'common/Money.v2.avsc': money,
    },
    'orders/Both.v1.avsc#: two versions of "shop.common.Money" meet in this schema',
  ],
  [
    'a circle of files',
    {
      'common/A.v1.avsc': { ...money, name: 'A', fields: [{ name: 'b', type: 'B' }] },
      'common/B.v1.avsc': { ...money, name: 'B', fields: [{ name: 'a', type: ['null', 'A'] }] },
    },
    'common/A.v1.avsc -> common/B.v1.avsc -> common/A.v1.avsc',
  ],
  [
    'a definition that has a file of its own',
    { ...withField({ name: 'total', type: money }), 'common/Money.v1.avsc': money },
    `${v1}#/fields/1/type/name: "shop.common.Money" is defined twice`,
  ],
  ['a field twice', withField({ name: 'id', type: 'string' }), `${v1}#/fields/1/name: the field "id" is there twice`],
  [
    'a field that every object has',
    withField({ name: 'constructor', type: 'string' }),
    `${v1}#/fields/1/name: "constructor" is a name that every JavaScript object has already`,
  ],
  [
    'a default of another type',
    withField({ name: 'total', type: 'long', default: 'none' }),
    `${v1}#/fields/1/default: the default "none" does not fit its type, long`,
  ],
  [
    'a default of another branch',
    withField({ name: 'note', type: ['string', 'null'], default: null }),
    `${v1}#/fields/1/default: the default null does not fit the first branch of its union, string`,
  ],
  [
    'a union that JavaScript cannot tell apart',
    withField({ name: 'total', type: ['int', 'double'] }),
    `${v1}#/fields/1/type/1: double cannot be told from int`,
  ],
  [
    'items that take no bytes',
    withField({ name: 'gaps', type: { type: 'array', items: 'null' } }),
    `${v1}#/fields/1/type/items: items that take no bytes`,
  ],
  [
    'an unknown kind',
    withRouting({ kind: 'evnt' }),
    `${v1}#/trunkline/kind: a message is an "event", a "command" or a "reply", not "evnt"`,
  ],
  ['a mistyped attribute', withRouting({ topics: 'x' }), `${v1}#/trunkline/topics: "topics" is not known here (did you mean "topic"?)`],
  ['a topic that Kafka refuses', withRouting({ topic: 'new orders' }), `${v1}#/trunkline/topic: a topic is 1 to 249 letters`],
  ['a key that is no field', withRouting({ key: 'ids' }), `${v1}#/trunkline/key: there is no field "ids" (did you mean "id"?)`],
  [
    'a key that may be null',
    { [v1]: event('OrderPlaced', [{ name: 'ref', type: ['null', 'string'] }], { key: 'ref' }) },
    `${v1}#/trunkline/key: the key "ref" is of type union`,
  ],
  [
    'a key that nobody thought of',
    withRouting({ key: undefined }),
    `${v1}#/trunkline/key: name the field whose value keeps messages in order (id), or null`,
  ],
  [
    'an event with replies',
    withRouting({ replies: ['shop.orders.X'] }),
    `${v1}#/trunkline/replies: only a command has replies, this is an event`,
  ],
  [
    'a command without replies',
    { 'orders/Confirm.v1.avsc': command('Confirm', []) },
    'orders/Confirm.v1.avsc#/trunkline/replies: a command needs at least one reply',
  ],
  [
    'a reply that is missing',
    { 'orders/Confirm.v1.avsc': command('Confirm', ['shop.orders.Confirmd']), 'orders/Confirmed.v1.avsc': reply('Confirmed') },
    'orders/Confirm.v1.avsc#/trunkline/replies/0: no schema file defines "shop.orders.Confirmd" (did you mean "shop.orders.Confirmed"?)',
  ],
  [
    'an event as a reply',
    { 'orders/Confirm.v1.avsc': command('Confirm', ['shop.orders.Confirmed']), 'orders/Confirmed.v1.avsc': event('Confirmed') },
    '"shop.orders.Confirmed" is not a reply',
  ],
  [
    'replies on two topics',
    {
      'orders/Confirm.v1.avsc': command('Confirm', ['shop.orders.A', 'shop.orders.B']),
      'orders/A.v1.avsc': reply('A'),
      'orders/B.v1.avsc': reply('B', 'elsewhere'),
    },
    'orders/Confirm.v1.avsc#/trunkline/replies: the replies of a command share one topic',
  ],
])('refuses %s, naming the file and the place', (_what, files, message) => {
  const folder = folderOf({ ...files })

  expect(() => loadSchemas(folder)).toThrow(expect.objectContaining({ code: 'SCHEMA_INVALID', message: expect.stringContaining(message) }))
})

test('says what to do when there is no such folder', () => {
  expect(() => loadSchemas(join(folderOf({}), 'schemas'))).toThrow(
    expect.objectContaining({
      code: 'SCHEMAS_MISSING',
      message: expect.stringContaining('Create it, or set "schemas" in trunkline.config.ts'),
    }),
  )
})
