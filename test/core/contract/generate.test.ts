import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { toSchema } from '../../../src/core/contract/avro.ts'
import { generate, generateSchemaModule } from '../../../src/core/contract/generate.ts'
import { loadSchemas } from '../../../src/core/contract/schema-files.ts'
import { parseStandalone } from '../../../src/core/contract/schema-parser.ts'
import { OrderChanged, OrderChangedV1 } from './generated/sales.ts'
import { event, folderOf } from './schema-folder.ts'

const money = {
  type: 'record',
  name: 'Money',
  namespace: 'shop.common',
  doc: 'An amount of money.',
  fields: [
    { name: 'amount', type: 'long', doc: 'In minor units.' },
    { name: 'currency', type: 'string', default: 'EUR' },
  ],
}

const line = {
  type: 'record',
  name: 'Line',
  doc: 'One article\nof an order. */',
  fields: [
    { name: 'sku', type: 'string' },
    { name: 'price', type: 'shop.common.Money' },
    { name: 'parts', type: { type: 'array', items: 'Line' }, default: [] },
  ],
}

const message = (name: string, routing: object, fields: readonly object[]): object => ({
  type: 'record',
  name,
  namespace: 'shop.sales',
  trunkline: { topic: 'sales', key: 'id', ...routing },
  fields: [{ name: 'id', type: 'string' }, ...fields],
})

const decimal = { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }

/** Every logical type and every rule, with and without defaults. */
const ruled = [
  { name: 'entry', type: { type: 'string', logicalType: 'uuid' }, doc: 'The entry.' },
  { name: 'net', type: decimal, 'x-min': '0.01', 'x-max': '9999999' },
  { name: 'gross', type: { type: 'fixed', name: 'Gross', size: 6, logicalType: 'decimal', precision: 12, scale: 3 } },
  { name: 'tax', type: ['null', decimal], default: null, 'x-min': '0' },
  { name: 'bookedAt', type: { type: 'long', logicalType: 'timestamp-millis' }, default: 0 },
  { name: 'seenAt', type: { type: 'long', logicalType: 'timestamp-micros' }, default: 1 },
  { name: 'day', type: { type: 'int', logicalType: 'date' }, default: 1 },
  { name: 'serial', type: 'long', 'x-js': 'bigint', 'x-min': 1, 'x-max': '9223372036854775807', default: 7 },
  { name: 'quantity', type: 'int', 'x-min': 1, 'x-max': 100, default: 1 },
  { name: 'rate', type: 'double', 'x-min': 0.5, default: 1 },
  { name: 'holder', type: 'string', 'x-min-length': 2, 'x-max-length': 40, 'confluent:tags': ['PII'], default: 'nobody' },
  { name: 'currency', type: 'string', 'x-pattern': '^[A-Z]{3}$', default: 'EUR' },
  { name: 'lines', type: { type: 'array', items: { type: 'string', 'x-max-length': 3 } }, 'x-min-length': 1, default: ['a'] },
  { name: 'labels', type: { type: 'map', values: { type: 'int', 'x-max': 9 } }, 'x-max-length': 2, default: { a: 1 } },
  { name: 'proof', type: ['null', 'bytes'], default: null, 'x-max-length': 8 },
  { name: 'seal', type: 'bytes', default: '\u0001\u00ff' },
  { name: 'when', type: ['null', { type: 'long', logicalType: 'timestamp-millis' }, 'string', 'boolean'], default: null },
]

/** Every kind of type, two versions, a reply in another domain. */
const everything = {
  'common/Money.v1.avsc': money,
  'common/Channel.v1.avsc': { type: 'enum', name: 'Channel', namespace: 'shop.common', symbols: ['WEB', 'PHONE'], default: 'WEB' },
  'sales/OrderChanged.v1.avsc': message('OrderChanged', { kind: 'event' }, [{ name: 'total', type: 'shop.common.Money' }]),
  'sales/OrderChanged.v2.avsc': message('OrderChanged', { kind: 'event' }, [
    { name: 'total', type: 'shop.common.Money' },
    { name: 'lines', type: { type: 'array', items: line }, default: [] },
    { name: 'channel', type: ['null', 'shop.common.Channel'], default: null, doc: 'Where it came from.' },
    { name: 'labels', type: { type: 'map', values: ['null', 'string'] }, default: {} },
    { name: 'notes', type: { type: 'array', items: ['null', 'string'] }, default: [] },
    { name: 'grid', type: { type: 'array', items: { type: 'array', items: 'double' } }, default: [] },
    { name: 'checksum', type: { type: 'fixed', name: 'Checksum', size: 4 } },
    { name: 'attachment', type: ['null', 'bytes'], default: null },
    { name: 'paid', type: 'boolean', default: false },
  ]),
  'sales/CloseOrder.v1.avsc': message(
    'CloseOrder',
    { kind: 'command', topic: 'sales.commands', replies: ['shop.billing.OrderClosed', 'shop.billing.OrderKeptOpenForReview'] },
    [],
  ),
  'ledger/EntryBooked.v1.avsc': { ...message('EntryBooked', { kind: 'event', topic: 'ledger' }, ruled), namespace: 'shop.ledger' },
  'billing/OrderClosed.v1.avsc': { ...message('OrderClosed', { kind: 'reply', topic: 'billing.replies' }, []), namespace: 'shop.billing' },
  'billing/OrderKeptOpenForReview.v1.avsc': {
    ...message('OrderKeptOpenForReview', { kind: 'reply', topic: 'billing.replies' }, [{ name: 'reason', type: 'string' }]),
    namespace: 'shop.billing',
  },
}

test('writes one file a domain, which reads well and which the type checker accepts', async () => {
  const files = generate(loadSchemas(folderOf(everything)))

  expect([...files.keys()]).toEqual(['billing.ts', 'common.ts', 'ledger.ts', 'sales.ts'])
  for (const [name, text] of files) await expect(text).toMatchFileSnapshot(`generated/${name}`)
})

test('writes the same text whatever order the files come in', () => {
  const reversed = Object.fromEntries(Object.entries(everything).reverse())

  expect([...generate(loadSchemas(folderOf(reversed)))]).toEqual([...generate(loadSchemas(folderOf(everything)))])
})

test('what was generated makes and checks messages of every version', () => {
  const checksum = new Uint8Array(4)

  expect(OrderChanged({ id: '1', total: { amount: 5 }, checksum, lines: [{ sku: 'a', price: { amount: 1 } }] }).data).toEqual({
    id: '1',
    total: { amount: 5, currency: 'EUR' },
    lines: [{ sku: 'a', price: { amount: 1, currency: 'EUR' }, parts: [] }],
    channel: null,
    labels: {},
    notes: [],
    grid: [],
    checksum: Buffer.alloc(4),
    attachment: null,
    paid: false,
  })
  expect(OrderChangedV1({ id: '1', total: { amount: 5, currency: 'USD' } }).data).toEqual({
    id: '1',
    total: { amount: 5, currency: 'USD' },
  })
})

test('generated files name each other as the project wants it', () => {
  const importsOf = (importExtension: '.ts' | '.js' | ''): string | undefined =>
    generate(loadSchemas(folderOf(everything)), { importExtension })
      .get('sales.ts')
      ?.match(/from '(\.\/common.*)'/)?.[1]

  expect([importsOf('.ts'), importsOf('.js'), importsOf('')]).toEqual(['./common.ts', './common.js', './common'])
})

test("the example's contracts are what its schemas say", async () => {
  for (const [name, text] of generate(loadSchemas('schemas'))) {
    await expect(text).toMatchFileSnapshot(`../../../examples/order-fulfilment/contracts/${name}`)
  }
})

test("the envelope's schema in the code is the one in schemas/", async () => {
  const from = 'schemas/envelope/EventEnvelope.avsc'
  const schema = parseStandalone(JSON.parse(readFileSync(from, 'utf8')), from)

  const text = generateSchemaModule('EventEnvelope', toSchema(schema, from), from)

  await expect(text).toMatchFileSnapshot('../../../src/core/envelope/event-envelope.ts')
})

test('refuses two types that would have one name', () => {
  const status = (symbols: readonly string[]): object => ({ name: 'status', type: { type: 'enum', name: 'Status', symbols } })
  const folder = folderOf({ 'orders/A.v1.avsc': event('A', [status(['ON'])]), 'orders/B.v1.avsc': event('B', [status(['OFF'])]) })

  expect(() => generate(loadSchemas(folder))).toThrow('two different types would be called "Status" in orders.ts')
})

test('refuses a name that generated code needs for itself', () => {
  const folder = folderOf({ 'orders/A.v1.avsc': event('A', [{ name: 'kept', type: { type: 'fixed', name: 'Record', size: 2 } }]) })

  expect(() => generate(loadSchemas(folder))).toThrow('"shop.orders.Record" cannot be a type in TypeScript')
})

test('refuses two types of one name that meet in one file', () => {
  const folder = folderOf({
    'common/Money.v1.avsc': money,
    'legacy/Money.v1.avsc': { ...money, namespace: 'shop.legacy' },
    'orders/A.v1.avsc': event('A', [
      { name: 'now', type: 'shop.common.Money' },
      { name: 'then', type: 'shop.legacy.Money' },
    ]),
  })

  expect(() => generate(loadSchemas(folder))).toThrow('"Money" is the name of two types that meet in orders.ts')
})
