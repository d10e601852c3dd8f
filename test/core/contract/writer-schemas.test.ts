import { expect, test } from 'vitest'
import type { RegistrySchema, SchemaRegistry } from '../../../src/core/contract/registry.ts'
import { WriterSchemas } from '../../../src/core/contract/writer-schemas.ts'
import { type Clock, systemClock } from '../../../src/foundation/clock.ts'
import { TransientError } from '../../../src/foundation/errors.ts'

/** A client as a user may hand one in: it counts what it is asked. */
class Shelf implements SchemaRegistry {
  readonly schemas = new Map<number, RegistrySchema>()
  asked = 0
  down = false

  async getById(id: number): Promise<RegistrySchema | undefined> {
    this.asked++
    if (this.down) throw new TransientError('REGISTRY_UNAVAILABLE', 'down')
    return this.schemas.get(id)
  }

  async register(): Promise<number> {
    throw new Error('nothing is registered here')
  }
}

/** A clock that moves when it is told to. */
class HandClock implements Clock {
  nowMs = 0
  now(): number {
    return this.nowMs
  }
  monotonic(): number {
    return this.nowMs
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal)
  }
}

function begin(): { shelf: Shelf; clock: HandClock; writers: WriterSchemas } {
  const [shelf, clock] = [new Shelf(), new HandClock()]
  return { shelf, clock, writers: new WriterSchemas({ registry: shelf, clock }) }
}

function order(...fields: unknown[]): RegistrySchema {
  return {
    schema: JSON.stringify({ type: 'record', name: 'Order', namespace: 'shop', fields: [{ name: 'id', type: 'string' }, ...fields] }),
  }
}

async function loaded(schema: RegistrySchema) {
  const { shelf, writers } = begin()
  shelf.schemas.set(1, schema)
  await writers.load(1)
  return writers.get(1)
}

test('asks for a schema once, however many want it at the same time', async () => {
  const { shelf, writers } = begin()
  shelf.schemas.set(7, order())

  await Promise.all([writers.load(7), writers.load(7), writers.load(7)])

  expect(shelf.asked).toBe(1)
  expect(writers.get(7)).toMatchObject({ id: 7, name: 'shop.Order' })
})

test('knows what it knows while the registry is down, and nothing else', async () => {
  const { shelf, writers } = begin()
  shelf.schemas.set(7, order())
  await writers.load(7)
  shelf.down = true

  await expect(writers.load(8)).rejects.toMatchObject({ name: 'TransientError', code: 'REGISTRY_UNAVAILABLE' })
  expect(writers.get(7)?.name).toBe('shop.Order')
  expect(writers.get(8)).toBeUndefined()
})

test('believes "not found" for ten seconds, and then asks again', async () => {
  const { shelf, clock, writers } = begin()
  await writers.load(9)

  expect(() => writers.get(9)).toThrow(expect.objectContaining({ name: 'ContractError', code: 'SCHEMA_UNKNOWN' }))
  clock.nowMs = 10_001
  expect(writers.get(9)).toBeUndefined()
  shelf.schemas.set(9, order())
  await writers.load(9)
  expect(writers.get(9)?.name).toBe('shop.Order')
})

test('keeps a thousand schemas, and of more those that were used last', async () => {
  const { shelf, writers } = begin()
  for (let id = 1; id <= 1_001; id++) shelf.schemas.set(id, order())
  for (let id = 1; id <= 1_000; id++) await writers.load(id)
  writers.get(1)

  await writers.load(1_001)

  expect(writers.get(1)).toBeDefined()
  expect(writers.get(2)).toBeUndefined()
  expect(writers.get(1_001)).toBeDefined()
})

test('takes whatever a client throws for a registry that did not answer', async () => {
  const registry: SchemaRegistry = {
    getById: () => Promise.reject(new Error('ResponseError: 503')),
    register: () => Promise.reject(new Error('no')),
  }
  const writers = new WriterSchemas({ registry, clock: systemClock })

  await expect(writers.load(1)).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE', message: expect.stringContaining('503') })
})

test('does not wait for ever for a client that never answers', async () => {
  const registry: SchemaRegistry = { getById: () => new Promise(() => undefined), register: () => new Promise(() => undefined) }
  const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() }
  const writers = new WriterSchemas({ registry, clock })

  await expect(writers.load(1)).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE', message: expect.stringContaining('30000 ms') })
})

test('puts referenced schemas where they are used', async () => {
  const money = { type: 'record', name: 'shop.Money', fields: [{ name: 'cents', type: 'long' }] }
  const { schema } = order({ name: 'total', type: 'Money' }, { name: 'fee', type: ['null', 'shop.Money'] })

  const writer = await loaded({ schema, referenced: { 'shop.Money': JSON.stringify(money) } })

  expect(JSON.stringify(writer?.schema).match(/"cents"/g)).toHaveLength(1)
})

test('reads the schemas of Java producers: their own attributes, and logical types that are not known here', async () => {
  const writer = await loaded(
    order(
      { name: 'note', type: { type: 'string', 'avro.java.string': 'String' }, doc: 'n', default: '' },
      { name: 'at', type: { type: 'long', logicalType: 'local-timestamp-millis' } },
      { name: 'total', type: { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 } },
      { name: 'odd', type: { type: 'bytes', logicalType: 'decimal', precision: 2, scale: 9 } },
    ),
  )

  const fields = typeof writer?.schema === 'object' && 'fields' in writer.schema ? writer.schema.fields : []
  expect(fields).toMatchObject([
    { type: 'string' },
    { type: 'string' },
    { type: 'long' },
    { type: { logicalType: 'decimal' } },
    { type: 'bytes' },
  ])
})

const unusable: Readonly<Record<string, RegistrySchema>> = {
  'a Protobuf schema': { schema: 'message A {}', schemaType: 'PROTOBUF' },
  'what is no JSON': { schema: '{nope' },
  'what is no schema': { schema: '{"type":"recrd"}' },
  'a schema without a name': { schema: '"string"' },
  'an enum': { schema: '{"type":"enum","name":"E","symbols":["A"]}' },
  'a reference to nothing': order({ name: 'total', type: 'shop.Gone' }),
  'references in a circle': {
    ...order({ name: 'a', type: 'shop.A' }),
    referenced: {
      'shop.A': '{"type":"record","name":"shop.A","fields":[{"name":"o","type":"shop.B"}]}',
      'shop.B': '{"type":"record","name":"shop.B","fields":[{"name":"o","type":"shop.A"}]}',
    },
  },
  'a field named like what every object has': order({ name: '__proto__', type: 'string' }),
  'a type named like what every object has': order({ name: 'a', type: 'constructor' }),
  'a hundred thousand levels': { schema: '['.repeat(100_000) + ']'.repeat(100_000) },
  'items that take no bytes': order({ name: 'bomb', type: { type: 'array', items: 'null' } }),
  'two megabytes': { schema: `${' '.repeat(2 * 1024 * 1024)}"string"` },
}

for (const [title, schema] of Object.entries(unusable)) {
  test(`reads nothing with ${title}`, async () => {
    const { shelf, writers } = begin()
    shelf.schemas.set(1, schema)

    await writers.load(1)

    expect(() => writers.get(1)).toThrow(expect.objectContaining({ name: 'ContractError', code: 'SCHEMA_UNUSABLE' }))
  })
}
