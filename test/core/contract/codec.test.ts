import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { decodePayload, encodePayload, fingerprintOf, VALUE_BYTES_MAX } from '../../../src/core/contract/codec.ts'
import { conform } from '../../../src/core/contract/conform.ts'
import type { ContractDefinition } from '../../../src/core/contract/contract.ts'
import { singleObjectPrefix } from '../../../src/core/envelope/framing.ts'
import { ContractError } from '../../../src/foundation/errors.ts'

const order = { orderId: 'o-1', sku: 'chair', quantity: 2, total: 1250 }

type Field = Readonly<Record<string, unknown>>

/** A contract with one version for each list of fields. It reads and writes `version`, the last if none is said. */
function definitionOf(versions: readonly (readonly Field[])[], version = versions.length): ContractDefinition {
  const schemas = versions.map((fields): AvroSchema => ({ type: 'record', name: 'test.Probe', fields }))
  return {
    kind: 'event',
    name: 'test.Probe',
    version,
    topic: 'probes',
    key: null,
    replies: [],
    versions: schemas.map((schema, index) => ({ version: index + 1, fingerprint: fingerprintOf(schema), schema })),
  }
}

function framed(definition: ContractDefinition, payload: readonly number[] | Buffer): Buffer {
  const fingerprint = definition.versions.at(-1)?.fingerprint ?? ''
  return Buffer.concat([singleObjectPrefix(fingerprint), Buffer.from(payload)])
}

/** A number as Avro writes it: zigzag, then seven bits a byte. */
function varint(value: bigint): number[] {
  let rest = value >= 0n ? value * 2n : -value * 2n - 1n
  const bytes: number[] = []
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return [...bytes, Number(rest)]
}

/** What became of a value: read, or the code of its error. */
function outcomeOf(definition: ContractDefinition, value: Buffer): { outcome: string; data: unknown } {
  try {
    return { outcome: 'read', data: decodePayload(definition, value) }
  } catch (error) {
    return { outcome: error instanceof ContractError ? error.code : String(error), data: undefined }
  }
}

/** Decoded records are instances of classes of their own; only their content counts. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

test('writes single-object framing: C3 01, the fingerprint with its low byte first, then Avro', () => {
  const value = encodePayload(OrderPlaced.definition, order)

  expect(value.toString('hex')).toBe(`c301${Buffer.from('8a8e931974501f33', 'hex').reverse().toString('hex')}066f2d310a636861697204c413`)
  expect(decodePayload(OrderPlaced.definition, value)).toEqual(order)
})

const everything: readonly (readonly [string, AvroSchema, fc.Arbitrary<unknown>])[] = [
  ['boolean', 'boolean', fc.boolean()],
  ['int', 'int', fc.integer()],
  ['long', 'long', fc.maxSafeInteger().filter((value) => value >= -(2 ** 52) && value <= 2 ** 53 - 2)],
  ['float', 'float', fc.float({ noNaN: true, noDefaultInfinity: true })],
  ['double', 'double', fc.double({ noNaN: true, noDefaultInfinity: true })],
  ['string', 'string', fc.string({ unit: 'binary' })],
  ['bytes', 'bytes', fc.uint8Array().map((bytes) => Buffer.from(bytes))],
  ['fixed', { type: 'fixed', name: 'Four', size: 4 }, fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes))],
  ['enum', { type: 'enum', name: 'Status', symbols: ['OPEN', 'CLOSED'] }, fc.constantFrom('OPEN', 'CLOSED')],
  ['array', { type: 'array', items: 'string' }, fc.array(fc.string())],
  [
    'map',
    { type: 'map', values: 'long' },
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      fc.integer(),
      { noNullPrototype: true },
    ),
  ],
  ['nullable', ['null', 'string'], fc.option(fc.string())],
  [
    'union',
    ['null', 'boolean', 'double', 'string'],
    fc.oneof(fc.constant(null), fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string()),
  ],
  [
    'record',
    {
      type: 'record',
      name: 'Line',
      fields: [
        { name: 'sku', type: 'string' },
        { name: 'count', type: 'int' },
      ],
    },
    fc.record({ sku: fc.string(), count: fc.integer() }, { noNullPrototype: true }),
  ],
]

test.each(everything)('reads back every %s that it wrote, byte for byte as long as its pieces of memory last', (_name, type, values) => {
  const definition = definitionOf([[{ name: 'value', type }]])

  fc.assert(
    fc.property(values, (value) => {
      const data = conform(definition, { value })
      expect(decodePayload(definition, encodePayload(definition, data))).toEqual({ value })
    }),
    { numRuns: 300 },
  )
})

test('keeps earlier values whole while later ones are written', () => {
  const definition = definitionOf([[{ name: 'text', type: 'string' }]])
  const texts = Array.from({ length: 300 }, (_, index) => String(index).repeat(1 + ((index * 7) % 400)))

  const values = texts.map((text) => encodePayload(definition, { text }))

  expect(values.map((value) => decodePayload(definition, value))).toEqual(texts.map((text) => ({ text })))
})

test('writes values larger than its pieces of memory', () => {
  const definition = definitionOf([[{ name: 'text', type: 'string' }]])
  const text = 'ä'.repeat(200_000)

  expect(decodePayload(definition, encodePayload(definition, { text }))).toEqual({ text })
})

test('refuses to write or read more than 1 MiB', () => {
  const definition = definitionOf([[{ name: 'text', type: 'string' }]])

  expect(() => encodePayload(definition, { text: 'a'.repeat(VALUE_BYTES_MAX) })).toThrow(
    expect.objectContaining({ code: 'VALUE_TOO_LARGE' }),
  )
  expect(() => decodePayload(definition, Buffer.alloc(2_000_000))).toThrow(expect.objectContaining({ code: 'VALUE_TOO_LARGE' }))
})

test('names the path of data that was changed after it was checked', () => {
  const data: Record<string, unknown> = { ...order, total: 'much' }

  expect(() => encodePayload(OrderPlaced.definition, data)).toThrow(
    expect.objectContaining({ code: 'CONTRACT_VIOLATED', details: expect.objectContaining({ path: 'total' }) }),
  )
})

test('goes on writing after data that did not fit', () => {
  expect(() => encodePayload(OrderPlaced.definition, {})).toThrow('is missing')

  expect(decodePayload(OrderPlaced.definition, encodePayload(OrderPlaced.definition, order))).toEqual(order)
})

test.each([
  ['nothing', Buffer.alloc(0), 'its 0 bytes start with nothing'],
  [
    'JSON',
    Buffer.from('{"orderId":1}'),
    'its 13 bytes start with 7b 22 6f 72 64 65 72 49 64 22, which is no framing known here (it looks like JSON)',
  ],
  ['a registry id', Buffer.from([0, 0, 0, 1, 44, 2, 2]), 'registry framing (00 and schema id 300)'],
  ['a registry GUID', Buffer.from(`01${'ab'.repeat(16)}00`, 'hex'), `registry framing (01 and GUID ${'ab'.repeat(16)})`],
  ['half a frame', Buffer.from('c30102', 'hex'), 'start with c3 01 02'],
])('refuses a value in foreign framing by its name: %s', (_name, value, problem) => {
  expect(() => decodePayload(OrderPlaced.definition, value)).toThrow(
    expect.objectContaining({ code: 'FRAMING_UNKNOWN', message: expect.stringContaining(problem) }),
  )
})

test('tells a schema that it does not know from bytes that nobody can read', () => {
  const value = Buffer.concat([singleObjectPrefix('0123456789abcdef'), Buffer.from([2])])

  expect(() => decodePayload(OrderPlaced.definition, value)).toThrow(
    expect.objectContaining({ code: 'SCHEMA_UNKNOWN', details: { name: 'shop.orders.OrderPlaced', fingerprint: '0123456789abcdef' } }),
  )
})

test('refuses a value that ends early, and one with bytes left over', () => {
  const value = encodePayload(OrderPlaced.definition, order)

  for (let length = 10; length < value.length; length++) {
    expect(() => decodePayload(OrderPlaced.definition, value.subarray(0, length))).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_UNREADABLE' }),
    )
  }
  expect(() => decodePayload(OrderPlaced.definition, Buffer.concat([value, Buffer.from([0])]))).toThrow('1 bytes are left over')
})

const id = { name: 'id', type: 'string' }
const note = { name: 'note', type: ['null', 'string'], default: null }

test('reads what an older version wrote, with the defaults of its own', () => {
  const value = encodePayload(definitionOf([[id], [id, note]], 1), { id: 'a' })

  expect(decodePayload(definitionOf([[id], [id, note]], 2), value)).toEqual({ id: 'a', note: null })
})

test('reads what a newer version wrote, when it has that schema', () => {
  const value = encodePayload(definitionOf([[id], [note, id]], 2), { note: 'hello', id: 'a' })

  expect(decodePayload(definitionOf([[id], [note, id]], 1), value)).toEqual({ id: 'a' })
})

test('reads an int as a long and a text as bytes, as Avro promises', () => {
  const versions = [
    [
      { name: 'n', type: 'int' },
      { name: 't', type: 'string' },
    ],
    [
      { name: 'n', type: 'long' },
      { name: 't', type: 'bytes' },
    ],
  ]
  const value = encodePayload(definitionOf(versions, 1), { n: -7, t: 'ä' })

  expect(decodePayload(definitionOf(versions, 2), value)).toEqual({ n: -7, t: Buffer.from('ä') })
})

test('says which versions cannot be read as each other, every time', () => {
  const versions = [[id], [id, { name: 'extra', type: 'long' }]]
  const value = encodePayload(definitionOf(versions, 1), { id: 'a' })
  const reader = definitionOf(versions, 2)

  for (const _attempt of [1, 2]) {
    expect(() => decodePayload(reader, value)).toThrow(
      expect.objectContaining({
        code: 'SCHEMA_INCOMPATIBLE',
        message: expect.stringContaining('Version 1 of test.Probe cannot be read as version 2'),
      }),
    )
  }
})

test('refuses a fingerprint that its schema does not have', () => {
  const definition = definitionOf([[id]])
  const edited = { ...definition, versions: definition.versions.map((version) => ({ ...version, fingerprint: '0000000000000000' })) }

  expect(() => encodePayload(edited, { id: 'a' })).toThrow(expect.objectContaining({ code: 'FINGERPRINT_WRONG' }))
})

const strings = { type: 'array', items: 'string' }
const longs = { type: 'map', values: 'long' }
const tree = { type: 'record', name: 'Tree', fields: [{ name: 'children', type: { type: 'array', items: 'Tree' } }] }
const flags = { type: 'array', items: { type: 'record', name: 'Flag', fields: [{ name: 'on', type: 'boolean' }] } }
const huge = varint(2n ** 62n)
const endlessZeros = [...Array<number>(200).fill(0x80), 0]

const bombs: readonly (readonly [string, AvroSchema, readonly number[]])[] = [
  ['a map of 2^62', longs, huge],
  ['a map of 10^8', longs, varint(100_000_000n)],
  ['a list of 3 * 10^7', strings, varint(30_000_000n)],
  ['a list of 4 * 10^9', strings, varint(4_000_000_000n)],
  ['a list of 4 * 10^9 flags', flags, varint(4_000_000_000n)],
  ['a small block, then one of 2^62', strings, [2, 2, 0x61, ...huge]],
  ['lists in lists, each of 30000', tree, Array.from({ length: 5 }, () => varint(30_000n)).flat()],
  ['lists in lists, 10^5 deep', tree, Array<number>(100_000).fill(2)],
  ['a block whose size goes backwards', longs, [...varint(-1n), ...varint(-2n), 0, 0]],
  ['a block of a negative count of 2^62', strings, [...varint(-(2n ** 62n)), 2, 0]],
  ['a text of 2^62', 'string', huge],
  ['a text of a negative length', 'string', varint(-5n)],
  ['bytes whose length is no number', 'bytes', endlessZeros],
  ['a text whose length is no number', 'string', endlessZeros],
  ['an int out of range', 'int', varint(2n ** 40n)],
  ['an int that is no number', 'int', endlessZeros],
  ['a long out of range', 'long', varint(2n ** 60n)],
  ['a long whose sign would turn', 'long', varint(-(2n ** 52n) - 1n)],
  ['a symbol that is not there', { type: 'enum', name: 'E', symbols: ['A'] }, [4]],
  ['a branch that is not there', ['null', 'string'], [6]],
  ['a text that is no UTF-8', 'string', [4, 0xc3, 0x28]],
  ['a map key that changes prototypes', longs, [2, 18, ...Buffer.from('__proto__'), 2, 0]],
]

test.each(bombs)('refuses %s within 0.2 s of CPU, read or skipped, and stays whole', (_name, type, payload) => {
  const plain = definitionOf([[{ name: 'value', type }]])
  const skipping = definitionOf([[{ name: 'kept', type: 'int', default: 0 }], [{ name: 'value', type }]], 1)
  const resolving = definitionOf(
    [
      [
        { name: 'value', type },
        { name: 'kept', type: 'int', default: 0 },
      ],
      [{ name: 'value', type }],
    ],
    1,
  )
  // The first look builds the types, which is no part of reading.
  for (const definition of [plain, skipping, resolving])
    expect(() => decodePayload(definition, framed(definition, []))).toThrow('cannot be decoded')

  const started = process.cpuUsage()
  expect(() => decodePayload(plain, framed(plain, payload))).toThrow(expect.objectContaining({ code: 'PAYLOAD_UNREADABLE' }))
  expect(() => decodePayload(resolving, framed(resolving, payload))).toThrow(expect.objectContaining({ code: 'PAYLOAD_UNREADABLE' }))
  // What is skipped is not looked into: it may end, but not hang.
  expect(['read', 'PAYLOAD_UNREADABLE']).toContain(outcomeOf(skipping, framed(skipping, payload)).outcome)
  const { user, system } = process.cpuUsage(started)

  expect((user + system) / 1000).toBeLessThan(200)
  const bytes = definitionOf([[{ name: 'value', type: 'bytes' }]])
  expect(decodePayload(bytes, encodePayload(bytes, { value: Buffer.from('still whole') }))).toEqual({ value: Buffer.from('still whole') })
})

test('gives data of its schema or an error for any bytes at all', () => {
  const definition = definitionOf([
    [
      { name: 'list', type: strings },
      { name: 'map', type: longs },
      { name: 'tree', type: ['null', tree], default: null },
      { name: 'raw', type: 'bytes' },
      { name: 'n', type: 'int' },
    ],
  ])
  const valid = encodePayload(definition, {
    list: ['a', 'b'],
    map: { x: 1 },
    tree: { children: [{ children: [] }] },
    raw: Buffer.from([1]),
    n: 5,
  })
  let readable = 0

  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(valid.length - 11), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
      const value = Buffer.from(valid)
      for (const [at, byte] of changes) value[10 + at] = byte
      const { outcome, data } = outcomeOf(definition, value)
      if (outcome === 'read') readable++
      const isWhole = outcome === 'read' ? isDeepStrictEqual(conform(definition, data), plain(data)) : outcome === 'PAYLOAD_UNREADABLE'
      expect(isWhole).toBe(true)
    }),
    { numRuns: 3000 },
  )
  expect(readable).toBeGreaterThan(100)
})

const chain = { type: 'record', name: 'Chain', fields: [{ name: 'next', type: ['null', 'Chain'], default: null }] }

/** As many records in each other as are asked for, the outermost included. */
function nested(records: number): unknown {
  let value: unknown = null
  for (let record = 1; record < records; record++) value = { next: value }
  return { value }
}

test('reads records that are nested as deep as may be written, and no deeper, by every reader', () => {
  const value = { name: 'value', type: ['null', chain] }
  const versions = [[value], [value, note], [note]]
  const deepest = encodePayload(definitionOf(versions, 1), conform(definitionOf(versions, 1), nested(64)))
  // The deepest null, branch 0, becomes two more records and a null. What only skips does not count the outermost.
  const deeper = Buffer.concat([deepest.subarray(0, -1), Buffer.from([2, 2, 0])])

  expect(() => conform(definitionOf(versions, 1), nested(65))).toThrow('is nested deeper than 64 records')
  for (const version of [1, 2]) expect(plain(decodePayload(definitionOf(versions, version), deepest))).toMatchObject(Object(nested(64)))
  for (const version of [1, 2, 3]) {
    expect(() => decodePayload(definitionOf(versions, version), deeper)).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_UNREADABLE', message: expect.stringContaining('records are nested deeper than 64') }),
    )
  }
  expect(decodePayload(definitionOf(versions, 3), deepest)).toEqual({ note: null })
})
