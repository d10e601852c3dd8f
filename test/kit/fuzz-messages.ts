import type { HeaderPair } from '../../src/core/broker/log-producer.ts'
import type { AvroSchema } from '../../src/core/contract/avro.ts'
import { encodePayload, fingerprintOf } from '../../src/core/contract/codec.ts'
import { conform } from '../../src/core/contract/conform.ts'
import { type ContractDefinition, type ContractTypes, type ContractVersion, contract } from '../../src/core/contract/contract.ts'
import { upcast } from '../../src/core/contract/upcast.ts'
import { WriterSchemas } from '../../src/core/contract/writer-schemas.ts'
import { registryPrefix } from '../../src/core/envelope/framing.ts'
import { toHeaders } from '../../src/core/envelope/headers.ts'
import { systemClock } from '../../src/foundation/clock.ts'
import type { Random } from './random.ts'

/** A valid message, in one of the forms in which one may stand on a topic. */
export interface FuzzSample {
  readonly form: string
  readonly headers: readonly HeaderPair[]
  readonly value: Buffer
  /** What whoever reads version 1 gets of it. */
  readonly data: unknown
}

const decimal = { type: 'bytes', logicalType: 'decimal', precision: 12, scale: 2 }
const node = {
  type: 'record',
  name: 'Node',
  fields: [
    { name: 'name', type: 'string' },
    { name: 'children', type: { type: 'array', items: 'Node' } },
    { name: 'next', type: ['null', 'Node'], default: null },
    { name: 'attributes', type: { type: 'map', values: ['null', 'double', 'string'] } },
  ],
}

/** Every type, every logical type, and what can be nested without end. */
const fields: readonly (readonly [name: string, type: AvroSchema])[] = [
  ['id', 'string'],
  ['flag', 'boolean'],
  ['count', 'int'],
  ['total', 'long'],
  ['serial', { type: 'long', 'x-js': 'bigint' }],
  ['ratio', 'float'],
  ['rate', 'double'],
  ['raw', 'bytes'],
  ['status', { type: 'enum', name: 'Status', symbols: ['OPEN', 'CLOSED', 'LOST'], default: 'LOST' }],
  ['hash', { type: 'fixed', name: 'Hash', size: 4 }],
  ['tree', node],
  ['price', decimal],
  ['fixedPrice', { type: 'fixed', name: 'Price', size: 6, logicalType: 'decimal', precision: 12, scale: 3 }],
  ['at', { type: 'long', logicalType: 'timestamp-millis' }],
  ['seen', ['null', { type: 'long', logicalType: 'timestamp-micros' }]],
  ['day', { type: 'int', logicalType: 'date' }],
  ['ref', { type: 'string', logicalType: 'uuid' }],
  ['amounts', { type: 'map', values: decimal }],
  ['lists', { type: 'array', items: { type: 'array', items: 'long' } }],
]

const given = fields.map(([name, type]) => ({ name, type }))
// The newer version drops a list, a map and a tree, which are then skipped instead of read, and widens two numbers.
const dropped = ['tree', 'amounts', 'lists']
const widened: Readonly<Record<string, AvroSchema>> = { count: 'double', raw: 'string' }
const changed = given
  .filter(({ name }) => !dropped.includes(name))
  .map(({ name, type }) => ({ name, type: widened[name] ?? type }))
  .concat([{ name: 'note', type: ['null', 'string'] }])
  .map((field) => (field.name === 'note' ? { ...field, default: null } : field))

const versions = [given, changed].map((each, index): ContractVersion => {
  const schema = { type: 'record', name: 'test.Fuzz', fields: each }
  return { version: index + 1, fingerprint: fingerprintOf(schema), schema }
})

interface Fuzz extends ContractTypes {
  readonly name: 'test.Fuzz'
  readonly data: Readonly<Record<string, unknown>>
}

function contractOf(version: number) {
  const definition: ContractDefinition = { kind: 'event', name: 'test.Fuzz', version, topic: 'fuzz', key: null, replies: [], versions }
  return contract<Fuzz>(definition)
}

export const older = contractOf(1)
const newer = contractOf(2)
const upcasting = upcast(newer, older, ({ raw, ...data }) => ({
  ...Object.fromEntries(Object.entries(data).filter(([name]) => !dropped.includes(name))),
  raw: Buffer.isBuffer(raw) ? raw.toString('latin1') : 'no bytes',
}))

/** Whoever reads the version that was written, a newer one by Avro's rules, and a newer one through an upcaster. */
export const readers = [older, newer, upcasting] as const

/** The registry knows version 1 by this id, and nothing else. */
const SCHEMA_ID = 7
export const writerSchemas = new WriterSchemas({
  clock: systemClock,
  registry: {
    getById: async (id) => (id === SCHEMA_ID ? { schema: JSON.stringify(versions[0]?.schema) } : undefined),
    register: async () => SCHEMA_ID,
  },
})
await writerSchemas.load(SCHEMA_ID)

const leaf = { name: 'toString', children: [], next: null, attributes: {} }
const full = {
  id: 'constructor',
  flag: true,
  count: -7,
  total: 2 ** 40,
  serial: 2n ** 62n,
  ratio: 0.5,
  rate: -1e300,
  raw: Buffer.from('ab'),
  status: 'CLOSED',
  hash: Buffer.from([1, 2, 3, 4]),
  tree: { ...leaf, children: [leaf, { ...leaf, children: [leaf], next: leaf }], attributes: { constructor: 1.5, ä: 'ö', toString: null } },
  price: '-12.50',
  fixedPrice: '99999.125',
  at: new Date(1_769_860_800_123),
  seen: '2026-01-31T12:00:00.123456Z',
  day: '2026-01-31',
  ref: '0198f000-0000-7000-8000-000000000001',
  amounts: { eur: '1.00', usd: '-0.01' },
  lists: [[1, 2, 3], [], [-1]],
}
const least = { ...full, id: '', tree: leaf, amounts: {}, lists: [], seen: null, raw: Buffer.alloc(0) }
const asJson = { ...full, serial: String(full.serial), raw: full.raw.toString('base64'), hash: full.hash.toString('base64') }

const attributes = {
  specversion: '1.0',
  id: '0198f000-0000-7000-8000-000000000003',
  source: '/fuzz',
  type: 'test.Fuzz.v1',
  time: '2026-01-31T12:00:00.123Z',
  subject: 'ä',
  correlationid: 'c',
} as const
const noAttributes = { causationid: null, traceparent: null, tracestate: null, partitionkey: null }

function headersOf(datacontenttype: string, data: Buffer): HeaderPair[] {
  return toHeaders({ ...attributes, ...noAttributes, datacontenttype, extensions: { tenant: 'a' }, data })
}

function encoded(content: object, prefix?: Buffer): Buffer {
  return encodePayload(older.definition, conform(older.definition, content), prefix)
}

function jsonSample(form: string, contentType: string, json: unknown): FuzzSample {
  const value = Buffer.from(JSON.stringify(json))
  const isEvent = contentType === 'application/cloudevents+json'
  return { form, headers: isEvent ? [['content-type', Buffer.from(contentType)]] : headersOf(contentType, value), value, data: full }
}

export const samples: readonly [FuzzSample, ...FuzzSample[]] = [
  { form: 'binary', headers: headersOf('application/avro', encoded(full)), value: encoded(full), data: full },
  { form: 'binary, least', headers: headersOf('application/avro', encoded(least)), value: encoded(least), data: least },
  registered('registry', headersOf('application/avro', encoded(full, registryPrefix(SCHEMA_ID)))),
  registered('registry, bare', []),
  jsonSample('JSON', 'application/json', asJson),
  jsonSample('structured', 'application/cloudevents+json', {
    ...attributes,
    datacontenttype: 'application/json',
    tenant: 'a',
    data: asJson,
  }),
  jsonSample('structured, base64', 'application/cloudevents+json', {
    ...attributes,
    datacontenttype: 'application/avro',
    data_base64: encoded(full).toString('base64'),
  }),
]

function registered(form: string, headers: readonly HeaderPair[]): FuzzSample {
  return { form, headers, value: encoded(full, registryPrefix(SCHEMA_ID)), data: full }
}

/** A sample with a few changes; nine of ten are to the value. Binary forms come more often: more of them are still read after it. */
export function mutatedSample(random: Random): { headers: readonly HeaderPair[]; value: Buffer } {
  const { headers, value } = random.between(1, 3) === 1 ? random.pick(samples) : (samples[random.between(0, 3)] ?? samples[0])
  if (headers.length > 0 && random.between(1, 10) === 1) return { headers: mutatedHeaders(headers, random), value }
  let bytes = value
  for (let changes = random.between(1, 3) === 1 ? random.between(2, 4) : 1; changes > 0; changes--) bytes = mutatedBytes(bytes, random)
  return { headers, value: bytes }
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
/** Numbers that lengths, counts and longs should not be: 2^62, -2^63, -2^52 - 1, 10^8, one that never ends, and NaN's neighbours. */
const numbers = [
  'feffffffffffffff7f',
  'ffffffffffffffffff01',
  '8180808080808010',
  '80c2d72f',
  'ffffffffffffffffffffffff',
  'ffffffff0f',
  '01',
  '7f',
] as const
const texts = [
  ...['__proto__', 'constructor', 'toString'].map((text) => Buffer.concat([Buffer.from([text.length * 2]), Buffer.from(text)])),
  // Not UTF-8: a byte that begins nothing, half a character.
  Buffer.from('02ff', 'hex'),
  Buffer.from('06eda080', 'hex'),
  // Of JSON.
  ...['"__proto__":{"admin":true},', '1e999', '-0', '"\\ud800"', '[[[[[[[[', '{"a":', 'null', '\\u0000'].map((text) => Buffer.from(text)),
]

function mutatedBytes(bytes: Buffer, random: Random): Buffer {
  // Seldom in the framing: then nothing behind it is looked at.
  const at = random.between(random.between(1, 20) === 1 ? 0 : Math.min(10, bytes.length), bytes.length)
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (random.between(0, 8)) {
    case 0:
      return Buffer.concat([before, Buffer.from([(after[0] ?? 0) ^ (1 << random.between(0, 7))]), after.subarray(1)])
    case 1:
      return Buffer.concat([before, Buffer.from([random.between(0, 255)]), after.subarray(1)])
    case 2:
      return Buffer.concat([before, Buffer.from([random.between(0, 255)]), after])
    case 3:
      return Buffer.concat([before, after.subarray(random.between(1, 8))])
    case 4:
      return before
    case 5:
      return Buffer.concat([before, Buffer.from(random.pick(numbers), 'hex'), after.subarray(random.between(0, 2))])
    case 6:
      return Buffer.concat([before, texts[random.between(0, texts.length - 1)] ?? before, after])
    case 7:
      // Texts, digits and fields of JSON mostly stay what they are.
      return Buffer.concat([before, Buffer.from(LETTERS.charAt(random.between(0, LETTERS.length - 1))), after.subarray(1)])
    default:
      return Buffer.concat([bytes, bytes.subarray(at, at + random.between(1, 64))])
  }
}

const names = [
  'ce___proto__',
  'ce_constructor',
  'ce_toString',
  '__proto__',
  'ce_id',
  'ce_specversion',
  'content-type',
  'ce_',
  'ce_tenant',
] as const
const contents = ['', 'application/cloudevents+json', '\u0000', '__proto__', 'x'.repeat(300), '2026-02-30T99:00:00Z'] as const

function mutatedHeaders(headers: readonly HeaderPair[], random: Random): HeaderPair[] {
  const at = random.between(0, headers.length - 1)
  const [name, bytes] = headers[at] ?? ['', Buffer.alloc(0)]
  const replaced = (pair: HeaderPair): HeaderPair[] => headers.map((each, index) => (index === at ? pair : each))
  switch (random.between(0, 4)) {
    case 0:
      return headers.filter((_, index) => index !== at)
    case 1:
      return [...headers, [random.pick(names), Buffer.from(random.pick(contents))]]
    case 2:
      return replaced([name, mutatedBytes(bytes, random)])
    case 3:
      return replaced([random.pick(names), bytes])
    default:
      return replaced([name, Buffer.from(random.pick(contents))])
  }
}
