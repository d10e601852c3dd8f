import { isDeepStrictEqual } from 'node:util'
import type { HeaderPair } from '../src/core/broker/log-producer.ts'
import type { AvroSchema } from '../src/core/contract/avro.ts'
import { decodePayload, encodePayload, fingerprintOf } from '../src/core/contract/codec.ts'
import { conform } from '../src/core/contract/conform.ts'
import type { ContractDefinition, ContractVersion } from '../src/core/contract/contract.ts'
import { fromHeaders, toHeaders } from '../src/core/envelope/headers.ts'
import { ContractError } from '../src/foundation/errors.ts'
import { Random } from './kit/random.ts'

/** An event loop that stands still for longer misses heartbeats and time-outs of others. */
const STALL_MS = 50

export interface FuzzReport {
  readonly runs: number
  readonly seed: number
  /** Values that were still a message of their schema, and were read as one. */
  readonly read: number
  /** Values that were refused, by the error's code. */
  readonly refused: Readonly<Record<string, number>>
  readonly slowestMs: number
}

/**
 * Changes valid messages at random and reads them: with the version that wrote them, with a newer one, and with an older one.
 *
 * @throws Error a value broke a promise: another error than a `ContractError`, a result that its own schema refuses, a stall
 *   above 50 ms, or damage to the messages after it. It names the seed and the bytes
 */
export function fuzz({ runs, seed }: { readonly runs: number; readonly seed: number }): FuzzReport {
  const random = new Random(seed)
  const refused: Record<string, number> = {}
  let read = 0
  let slowestMs = 0
  for (let run = 0; run < runs; run++) {
    const record = mutated(random.pick(samples), random)
    const reader = random.pick(readers)
    const { code, tookMs } = judge(record, reader, `seed ${seed}, run ${run}`)
    if (code === undefined) read++
    else refused[code] = (refused[code] ?? 0) + 1
    slowestMs = Math.max(slowestMs, tookMs)
    if (run % 1_000 === 0) checkUnharmed(`seed ${seed}, run ${run}`)
  }
  return { runs, seed, read, refused, slowestMs }
}

interface FuzzRecord {
  readonly headers: readonly HeaderPair[]
  readonly value: Buffer
}

type Outcome = { readonly data: unknown } | { readonly code: string }

function judge(record: FuzzRecord, reader: ContractDefinition, where: string): { code: string | undefined; tookMs: number } {
  const { outcome, tookMs } = timed(record, reader, where)
  if ('code' in outcome) return { code: outcome.code, tookMs }
  const data = plain(outcome.data)
  if (!isDeepStrictEqual(plain(conform(reader, data)), data)) throw broken(record, where, 'what was read is not what its schema would have')
  return { code: undefined, tookMs }
}

/** A slow one is tried again: what else runs on the machine is slow once, a hostile value every time. */
function timed(record: FuzzRecord, reader: ContractDefinition, where: string): { outcome: Outcome; tookMs: number } {
  let tookMs = Number.POSITIVE_INFINITY
  for (let attempt = 1; ; attempt++) {
    const before = performance.now()
    const outcome = outcomeOf(record, reader, where)
    tookMs = Math.min(tookMs, performance.now() - before)
    if (tookMs <= STALL_MS) return { outcome, tookMs }
    if (attempt === 5) throw broken(record, where, `it takes ${Math.round(tookMs)} ms`)
  }
}

function outcomeOf({ headers, value }: FuzzRecord, reader: ContractDefinition, where: string): Outcome {
  try {
    const envelope = fromHeaders(headers, value, 0)
    return { data: decodePayload(reader, envelope.data ?? value) }
  } catch (error) {
    if (error instanceof ContractError) return { code: error.code }
    throw broken({ headers, value }, where, `it threw ${String(error)}`, error)
  }
}

function broken({ headers, value }: FuzzRecord, where: string, problem: string, cause?: unknown): Error {
  const shown = headers.map(([name, bytes]) => `${JSON.stringify(name)}: ${bytes.toString('hex')}`).join(', ')
  return new Error(`${where}: ${problem}. Value ${value.toString('hex')}, headers ${shown}`, { cause })
}

/** Hostile values must leave nothing behind that the next message meets. */
function checkUnharmed(where: string): void {
  for (const { headers, value } of samples) {
    const again = encodePayload(older, plain(decodePayload(older, fromHeaders(headers, value).data ?? value)))
    if (!again.equals(value)) throw broken({ headers, value }, where, 'a valid message is not read as before')
  }
  if (Object.keys(Object.prototype).length > 0) throw new Error(`${where}: Object.prototype was changed.`)
}

/** Decoded records are instances of classes of their own; only their content counts. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value) || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
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

function definitionOf(version: number): ContractDefinition {
  return { kind: 'event', name: 'test.Fuzz', version, topic: 'fuzz', key: null, replies: [], versions }
}

const older = definitionOf(1)
const readers = [older, definitionOf(2)] as const

const leaf = { name: 'toString', children: [], next: null, attributes: {} }
const data = {
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

const least = { ...data, id: '', tree: leaf, amounts: {}, lists: [], seen: null, raw: Buffer.alloc(0) }

function sampleOf(content: object): FuzzRecord {
  const value = encodePayload(older, conform(older, content))
  const headers = toHeaders({
    specversion: '1.0',
    id: '0198f000-0000-7000-8000-000000000003',
    source: '/fuzz',
    type: 'test.Fuzz.v1',
    time: '2026-01-31T12:00:00.123Z',
    datacontenttype: 'application/avro',
    subject: 'ä',
    correlationid: 'c',
    causationid: null,
    traceparent: null,
    tracestate: null,
    partitionkey: null,
    extensions: { tenant: 'a' },
    data: value,
  })
  return { headers, value }
}

const samples = [sampleOf(data), sampleOf(least)] as const

/** Nine of ten changes are to the value. */
function mutated({ headers, value }: FuzzRecord, random: Random): FuzzRecord {
  if (random.between(1, 10) === 1) return { headers: mutatedHeaders(headers, random), value }
  let bytes = value
  for (let changes = random.between(1, 3) === 1 ? random.between(2, 4) : 1; changes > 0; changes--) bytes = mutatedBytes(bytes, random)
  return { headers, value: bytes }
}

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
]

function mutatedBytes(bytes: Buffer, random: Random): Buffer {
  // Seldom in the fingerprint: then nothing behind it is looked at.
  const at = random.between(random.between(1, 20) === 1 ? 0 : Math.min(10, bytes.length), bytes.length)
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (random.between(0, 7)) {
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
