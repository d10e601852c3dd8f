import { expect, test } from 'vitest'
import { fingerprintOf } from '../../../src/core/contract/codec.ts'
import type { ContractDefinition } from '../../../src/core/contract/contract.ts'
import type { RegistrySchema, SchemaRegistry, SubjectStrategy } from '../../../src/core/contract/registry.ts'
import { SchemaIds } from '../../../src/core/contract/schema-ids.ts'
import { type Clock, systemClock } from '../../../src/foundation/clock.ts'

/** A registry in a list; each call is written down. */
class Shelf implements SchemaRegistry {
  readonly calls: string[] = []
  readonly #ids = new Map<string, number>()
  down = false
  readOnly = false

  async getById(): Promise<undefined> {
    return undefined
  }

  async find(subject: string, { schema }: RegistrySchema): Promise<number | undefined> {
    this.#note(`find ${subject}`)
    return this.#ids.get(`${subject} ${schema}`)
  }

  async register(subject: string, { schema }: RegistrySchema): Promise<number> {
    this.#note(`register ${subject} ${JSON.parse(schema).fields.length}`)
    if (this.readOnly) throw new Error('403')
    const id = this.#ids.get(`${subject} ${schema}`) ?? this.#ids.size + 1
    this.#ids.set(`${subject} ${schema}`, id)
    return id
  }

  #note(call: string): void {
    this.calls.push(call)
    if (this.down) throw new Error('ECONNREFUSED')
  }
}

function contractOf(version: number): ContractDefinition {
  const versions = [1, 2, 3].map((each) => {
    const fields = Array.from({ length: each }, (_, index) => ({ name: `f${index}`, type: 'string', default: '' }))
    const schema = { type: 'record', name: 'shop.Order', fields }
    return { version: each, fingerprint: fingerprintOf(schema), schema }
  })
  return { kind: 'event', name: 'shop.Order', version, topic: 'orders', key: null, replies: [], versions }
}

function begin(subjects: SubjectStrategy = 'TopicRecordName', clock: Clock = systemClock) {
  const shelf = new Shelf()
  return { shelf, ids: new SchemaIds({ registry: shelf, clock }, { subjects, topicPrefix: 'eu-' }) }
}

test('registers what the registry lacks, older versions first, and asks no more after that', async () => {
  const { shelf, ids } = begin()
  const order = contractOf(2)

  const unknown = ids.prefixOf(order, 'orders')
  const prefix = await ids.load(order, 'orders')

  expect(unknown).toBeUndefined()
  expect([...prefix]).toEqual([0, 0, 0, 0, 2])
  expect(ids.prefixOf(order, 'orders')).toBe(prefix)
  await ids.load(order, 'orders')
  expect(shelf.calls).toEqual(['find eu-orders-shop.Order', 'register eu-orders-shop.Order 1', 'register eu-orders-shop.Order 2'])
})

test('only looks up what is registered, so that a login which may not write is enough', async () => {
  const { shelf, ids } = begin()
  await ids.load(contractOf(3), 'orders')
  shelf.readOnly = true

  const prefix = await new SchemaIds({ registry: shelf, clock: systemClock }, { subjects: 'TopicRecordName', topicPrefix: 'eu-' }).load(
    contractOf(3),
    'orders',
  )

  expect(prefix[4]).toBe(3)
})

test.each([
  ['TopicRecordName', 'eu-orders-shop.Order'],
  ['TopicName', 'eu-orders-value'],
  ['RecordName', 'shop.Order'],
] as const)('registers under the subject of %s', async (strategy, subject) => {
  const { shelf, ids } = begin(strategy)

  await ids.load(contractOf(1), 'orders')

  expect(shelf.calls[0]).toBe(`find ${subject}`)
})

test('asks once for a contract that is published many times at once', async () => {
  const { shelf, ids } = begin()
  const order = contractOf(1)

  await Promise.all([ids.load(order, 'orders'), ids.load(order, 'orders')])

  expect(shelf.calls).toHaveLength(2)
})

test('asks a registry that does not answer once a second at most, and then again', async () => {
  let nowMs = 0
  const { shelf, ids } = begin('RecordName', { ...systemClock, monotonic: () => nowMs })
  const order = contractOf(1)
  shelf.down = true

  const failures = [await ids.load(order, 'orders').catch(String), await ids.load(order, 'orders').catch(String)]
  const asked = shelf.calls.length
  nowMs = 1_001
  shelf.down = false
  const prefix = await ids.load(order, 'orders')

  expect(asked).toBe(1)
  expect(failures[0]).toBe(failures[1])
  expect(failures[0]).toMatch(/shop\.Order\.v1 cannot be published.*ECONNREFUSED.*schema register/)
  expect(prefix).toHaveLength(5)
})

test.each([[Number.NaN], [-1], [2 ** 31], [1.5]])('takes the id %d of a client for no id', async (id) => {
  const registry: SchemaRegistry = { getById: async () => undefined, register: async () => id }
  const ids = new SchemaIds({ registry, clock: systemClock }, { subjects: 'RecordName', topicPrefix: '' })

  await expect(ids.load(contractOf(1), 'orders')).rejects.toMatchObject({ name: 'TransientError', code: 'REGISTRY_UNAVAILABLE' })
})
