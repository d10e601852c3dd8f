import { Client } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { HeaderPair } from '../../src/core/broker/log-producer.ts'
import { encodePayload } from '../../src/core/contract/codec.ts'
import { registryPrefix } from '../../src/core/envelope/framing.ts'
import { type Backbone, type BackboneOptions, createBackbone, fromPg, MemoryLog, type SchemaRegistry } from '../../src/index.ts'
import { askedOn, type Counted, countedOn } from '../kit/contracts.ts'
import { createTestDatabase } from '../kit/database.ts'
import { MemoryReader } from '../kit/memory-reader.ts'
import { RegistryFake } from '../kit/registry-fake.ts'
import { until, Witness } from '../kit/wait.ts'

const down = { status: 503, body: '{"error_code":50301,"message":"down for the test"}' }
const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A registry, a log and a database, and the services that a test starts on them. */
class World {
  readonly log = new MemoryLog()
  readonly registry: RegistryFake
  readonly databaseUrl: string

  private constructor(registry: RegistryFake, databaseUrl: string) {
    this.registry = registry
    this.databaseUrl = databaseUrl
  }

  static async begin(...topics: string[]): Promise<World> {
    const [registry, database] = await Promise.all([RegistryFake.start(), createTestDatabase()])
    cleanups.push(
      () => registry.stop(),
      () => database.drop(),
    )
    const world = new World(registry, database.url)
    await world.log.driver().admin.createTopics(topics.map((name) => ({ name, partitions: 1, replicationFactor: 1 })))
    return world
  }

  service(name: string, registry: BackboneOptions['registry'] | 'none' = { url: this.registry.url, timeout: '500ms' }): Backbone {
    const backbone = createBackbone({
      service: name,
      kafka: { driver: 'memory', log: this.log },
      database: { connectionString: this.databaseUrl },
      logger: false,
      ...(registry === 'none' ? {} : { registry }),
    })
    cleanups.push(() => backbone.stop())
    return backbone
  }

  /** Writes a value as a foreign producer does. */
  async write(topic: string, value: Buffer, key: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    const pairs = Object.entries(headers).map(([name, text]): HeaderPair => [name, Buffer.from(text)])
    const record = { key: Buffer.from(key), value, headers: pairs, timestampMs: Date.now() }
    const outcome = await this.log.driver().producer.append({ topic, partition: 0 }, [record])
    expect(outcome.status).toBe('acked')
  }

  /** What was written, as it begins. */
  async framings(topic: string): Promise<string[]> {
    const reader = new MemoryReader(this.log)
    const records = (await reader.read(topic)).flat()
    await reader.stop()
    return records.map(({ value }) => value?.toString('hex', 0, 5) ?? '')
  }

  async query(sql: string): Promise<readonly Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.databaseUrl })
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows
    } finally {
      await client.end()
    }
  }
}

/** Subscribes, and remembers what was handled. */
function handled(backbone: Backbone, contract: Counted): string[] {
  const seen: string[] = []
  backbone.subscribe(contract, async ({ data }) => {
    seen.push(`${data.key}${data.version}`)
  })
  return seen
}

function framed(id: number, contract: Counted, key: string, version: number): Buffer {
  return encodePayload(contract.definition, { key, version, note: '' }, registryPrefix(id))
}

function schemaText(contract: Counted): string {
  return JSON.stringify(contract.definition.versions[0]?.schema)
}

describe('with a schema registry', () => {
  test('messages carry the id of their schema, registered by the first of them, and are read by it', async () => {
    const world = await World.begin('orders')
    const Order = countedOn('orders')
    const backbone = world.service('shop')
    const seen = handled(backbone, Order)
    await backbone.start()

    await backbone.transaction(async (tx) => {
      await backbone.publish(tx, [Order({ key: 'a', version: 1 }), Order({ key: 'a', version: 2 })])
    })
    await backbone.transaction(async (tx) => backbone.publish(tx, Order({ key: 'a', version: 3 })))
    await until('three messages', () => seen.length === 3)

    expect(seen).toEqual(['a1', 'a2', 'a3'])
    expect(await world.framings('orders')).toEqual(['0000000001', '0000000001', '0000000001'])
    expect(world.registry.requests.filter((request) => request.includes('/versions'))).toHaveLength(1)
    expect(world.registry.requests.filter((request) => request.includes('/schemas/ids/1'))).toHaveLength(1)
  })

  test('what is known is published and handled while the registry is down; what is not fails at once, and is not published', async () => {
    const world = await World.begin('orders', 'others')
    const [Order, Other] = [countedOn('orders'), countedOn('others', 'test.Other')]
    const backbone = world.service('shop')
    const seen = handled(backbone, Order)
    await backbone.start()
    await backbone.transaction(async (tx) => backbone.publish(tx, Order({ key: 'a', version: 1 })))
    await until('the first message', () => seen.length === 1)
    world.registry.failAlways(down)

    await backbone.transaction(async (tx) => backbone.publish(tx, Order({ key: 'a', version: 2 })))
    const refused = backbone.transaction(async (tx) => {
      await backbone.publish(tx, Order({ key: 'a', version: 3 }))
      await backbone.publish(tx, Other({ key: 'a', version: 1 }))
    })

    await expect(refused).rejects.toMatchObject({
      name: 'TransientError',
      code: 'REGISTRY_UNAVAILABLE',
      message: expect.stringMatching(/test\.Other\.v1 cannot be published.*down for the test/),
    })
    await until('the second message', () => seen.length === 2)
    world.registry.failAlways()
    await until('publishing', () =>
      backbone.transaction(async (tx) => backbone.publish(tx, Other({ key: 'a', version: 1 }))).then(() => true),
    )
    await until('the other message', async () => (await world.framings('others')).length === 1)
    expect(seen).toEqual(['a1', 'a2'])
  })

  test('does not commit when the promise of publish was not awaited and the registry is down', async () => {
    const world = await World.begin('orders')
    const Order = countedOn('orders')
    const backbone = world.service('shop')
    world.registry.failAlways(down)

    const committed = backbone.transaction(async (tx) => {
      void backbone.publish(tx, Order({ key: 'a', version: 1 })).catch(() => undefined)
    })

    await expect(committed).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
    expect(await world.query('select from trunkline.outbox')).toHaveLength(0)
  })

  test('in a transaction of your own a message that needs an id is not overtaken by the next one, which does not', async () => {
    const world = await World.begin('orders')
    const [Order, Known] = [countedOn('orders'), countedOn('orders', 'test.Other')]
    const backbone = world.service('shop')
    await backbone.transaction(async (tx) => backbone.publish(tx, Known({ key: 'before', version: 1 })))
    const client = new Client({ connectionString: world.databaseUrl })
    await client.connect()
    cleanups.push(() => client.end())
    const tx = fromPg(client)

    await client.query('begin')
    await Promise.all([Order({ key: 'first', version: 1 }), Known({ key: 'second', version: 1 })].map((each) => backbone.publish(tx, each)))
    await client.query('commit')

    const rows = await world.query("select convert_from(key, 'utf8') as key from trunkline.outbox order by seq")
    expect(rows.map(({ key }) => key)).toEqual(['before', 'first', 'second'])
  })

  test('in a transaction of your own no message goes without the one before it whose id is not known', async () => {
    const world = await World.begin('orders')
    const [Order, Known] = [countedOn('orders'), countedOn('orders', 'test.Other')]
    const backbone = world.service('shop')
    await backbone.transaction(async (tx) => backbone.publish(tx, Known({ key: 'before', version: 1 })))
    world.registry.failAlways(down)
    const client = new Client({ connectionString: world.databaseUrl })
    await client.connect()
    cleanups.push(() => client.end())
    const tx = fromPg(client)

    await client.query('begin')
    const refused = [Order({ key: 'first', version: 1 }), Known({ key: 'second', version: 1 })].map((each) => backbone.publish(tx, each))
    const outcomes = await Promise.allSettled(refused)
    await client.query('commit')
    await client.query('begin')
    await backbone.publish(tx, Known({ key: 'later', version: 1 }))
    await client.query('commit')

    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'REGISTRY_UNAVAILABLE' } },
      { status: 'rejected', reason: { code: 'REGISTRY_UNAVAILABLE' } },
    ])
    const rows = await world.query("select convert_from(key, 'utf8') as key from trunkline.outbox order by seq")
    expect(rows.map(({ key }) => key)).toEqual(['before', 'later'])
  })

  test('an unknown id pauses its partition while the registry is down, no attempt is spent, and other partitions flow', async () => {
    const world = await World.begin('orders', 'others')
    const [Order, Other] = [countedOn('orders'), countedOn('others', 'test.Other')]
    const backbone = world.service('shop')
    const witness = new Witness(backbone.diagnostics)
    const [orders, others] = [handled(backbone, Order), handled(backbone, Other)]
    const [orderId, otherId] = [world.registry.plant(schemaText(Order)), world.registry.plant(schemaText(Other))]
    await backbone.start()
    await world.write('others', framed(otherId, Other, 'b', 1), 'b')
    await until('the schema of the others', () => others.length === 1)
    world.registry.failAlways(down)

    await world.write('orders', framed(orderId, Order, 'a', 1), 'a')
    await witness.saw('consumer.interrupted', ({ topic }) => topic === 'orders', 2)
    await world.write('others', framed(otherId, Other, 'b', 2), 'b')
    await until('the others', () => others.length === 2)
    const before = [...orders]
    world.registry.failAlways()
    await until('the orders', () => orders.length === 1)

    expect(before).toEqual([])
    expect(witness.all('consumer.interrupted')[0]?.reason).toContain('down for the test')
    expect(witness.count('delivery.failed')).toBe(0)
    expect(await world.query('select from trunkline.parked_message')).toHaveLength(0)
  })

  test('an id that the registry does not have parks its key, as no dead letter; its neighbours flow', async () => {
    const world = await World.begin('orders')
    const Order = countedOn('orders')
    const backbone = world.service('shop')
    const seen = handled(backbone, Order)
    const known = world.registry.plant(schemaText(Order))
    await backbone.start()

    await world.write('orders', framed(77, Order, 'a', 1), 'a')
    await world.write('orders', framed(known, Order, 'a', 2), 'a')
    await world.write('orders', framed(known, Order, 'b', 1), 'b')
    await until('the neighbour', () => seen.length === 1)

    expect(seen).toEqual(['b1'])
    expect(await world.query('select state, attempts, reason_code from trunkline.parked_message order by seq')).toEqual([
      { state: 'waiting', attempts: 0, reason_code: 'SCHEMA_UNKNOWN' },
      { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED' },
    ])
  })

  test('a handler whose new message needs an id waits for the registry, spends no attempt, and has its effect once', async () => {
    const world = await World.begin('orders', 'others')
    const [Order, Other] = [countedOn('orders'), countedOn('others', 'test.Other')]
    const backbone = world.service('shop')
    const witness = new Witness(backbone.diagnostics)
    const attempts: number[] = []
    backbone.subscribe(Order, async ({ data }, { tx, publish, attempt }) => {
      attempts.push(attempt)
      await tx.query('insert into effect (name) values ($1)', [data.key])
      publish(Other({ key: data.key, version: 1 }))
    })
    await world.query('create table effect (name text not null)')
    const id = world.registry.plant(schemaText(Order))
    await backbone.start()
    world.registry.failAlways(down, 'POST')

    await world.write('orders', framed(id, Order, 'a', 1), 'a')
    await witness.saw('consumer.interrupted')
    world.registry.failAlways()
    await until('the message that the handler published', async () => (await world.framings('others')).length === 1)

    expect(new Set(attempts)).toEqual(new Set([1]))
    expect(attempts.length).toBeGreaterThan(1)
    expect(witness.count('delivery.failed')).toBe(0)
    expect(await world.query('select name from effect')).toEqual([{ name: 'a' }])
  })

  test('a topic may hold both framings: from before there was a registry, and after', async () => {
    const world = await World.begin('orders')
    const Order = countedOn('orders')
    const [before, after] = [world.service('shop', 'none'), world.service('shop')]
    await before.transaction(async (tx) => before.publish(tx, Order({ key: 'a', version: 1 })))
    const seen = handled(after, Order)

    await after.start()
    await after.transaction(async (tx) => after.publish(tx, Order({ key: 'a', version: 2 })))
    await until('both', () => seen.length === 2)

    expect(seen).toEqual(['a1', 'a2'])
    expect((await world.framings('orders')).map((framing) => framing.slice(0, 4))).toEqual(['c301', '0000'])
  })

  test('a service asks for the ids of its replies before the first command, and starts although nobody answers', async () => {
    const world = await World.begin('asked', 'answered')
    const { Asked, Answered } = askedOn('asked', 'answered')
    const [first, second] = [world.service('first'), world.service('second')]
    for (const backbone of [first, second]) backbone.subscribe(Asked, async ({ data }) => Answered(data))
    const witness = new Witness(second.diagnostics)

    await first.start({ run: ['consume'] })
    const registered = world.registry.requests.filter((request) => request.includes('/versions'))
    world.registry.failAlways(down)
    await second.start({ run: ['consume'] })

    expect(registered).toEqual(['POST /subjects/answered-test.Answered/versions?normalize=true'])
    expect(witness.all('registry.unanswered')).toEqual([{ type: 'test.Answered.v1', reason: expect.stringContaining('down for the test') }])
  })

  test('any object that can get and register will do', async () => {
    const world = await World.begin('orders')
    const Order = countedOn('orders')
    const texts: string[] = []
    const client: SchemaRegistry = {
      getById: async (id) => (texts[id] === undefined ? undefined : { schema: texts[id] }),
      register: async (_subject, { schema }) => texts.push(schema) - 1,
    }
    const backbone = world.service('shop', { client, subjects: 'RecordName' })
    const seen = handled(backbone, Order)
    await backbone.start()

    await backbone.transaction(async (tx) => backbone.publish(tx, Order({ key: 'a', version: 1 })))
    await until('the message', () => seen.length === 1)

    expect(texts).toEqual([schemaText(Order)])
    expect(await world.framings('orders')).toEqual(['0000000000'])
  })
})
