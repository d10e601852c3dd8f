import { expect, onTestFinished, test } from 'vitest'
import { unpackHeaders } from '../../src/core/broker/header-bytes.ts'
import type { ConsumedRecord } from '../../src/core/broker/log-consumer.ts'
import { type Routed, routeRecord } from '../../src/core/consume/route.ts'
import type { AnyContract } from '../../src/core/contract/contract.ts'
import { type Backbone, createBackbone, MemoryLog, type Message, type Outgoing, upcast } from '../../src/index.ts'
import * as next from '../core/contract/builds/new/orders.ts'
import * as old from '../core/contract/builds/old/orders.ts'
import { createTestDatabase } from '../kit/database.ts'
import { anyPolicy } from '../kit/policy.ts'
import { RegistryFake } from '../kit/registry-fake.ts'
import { until } from '../kit/wait.ts'

const PriceChangedV2 = upcast(next.PriceChangedV2, next.PriceChangedV1, ({ id, price }) => ({ id, cents: Math.round(Number(price) * 100) }))
const PriceChanged = upcast(next.PriceChanged, PriceChangedV2, ({ id, cents }) => ({ id, net: cents }))

/** One service on one database and one log, deployed in one build after the other. */
class Shop {
  readonly applied: { readonly type: string; readonly data: unknown }[] = []
  readonly #url: string
  readonly #registryUrl: string | undefined
  readonly #log = new MemoryLog()

  private constructor(url: string, registryUrl?: string) {
    this.#url = url
    this.#registryUrl = registryUrl
  }

  static async open(registryUrl?: string): Promise<Shop> {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    return new Shop(database.url, registryUrl)
  }

  static async withRegistry(): Promise<Shop> {
    const registry = await RegistryFake.start()
    onTestFinished(() => registry.stop())
    return await Shop.open(registry.url)
  }

  /** A build that handles these contracts; it runs until the test is over, or until it is stopped. */
  build(...contracts: AnyContract[]): Backbone {
    const backbone = createBackbone({
      service: 'shop',
      kafka: { driver: 'memory', log: this.#log },
      database: { connectionString: this.#url },
      ...(this.#registryUrl === undefined ? {} : { registry: { url: this.#registryUrl } }),
      logger: false,
    })
    onTestFinished(() => backbone.stop())
    for (const contract of contracts)
      backbone.subscribe(contract, async ({ type, data }: Message) => void this.applied.push({ type, data }))
    return backbone
  }

  /** Leaves messages in the outbox: nothing relays them. */
  async publish(build: Backbone, ...messages: Outgoing[]): Promise<void> {
    await build.transaction((tx) => build.publish(tx, messages))
    await build.stop()
  }

  async query(build: Backbone, sql: string): Promise<readonly Record<string, unknown>[]> {
    return (await build.transaction((tx) => tx.query(sql))).rows
  }
}

test.each([
  ['without a registry', () => Shop.open()],
  ['with a registry', () => Shop.withRegistry()],
])('a new build sends what the old one left in the outbox, and reads it as its own version, %s', async (_how, open) => {
  const shop = await open()
  await shop.publish(shop.build(), old.OrderPaid({ id: 'a', amount: 1250 }), old.PriceChanged({ id: 'tea', price: '12.50' }))

  const build = shop.build(next.OrderPaid, PriceChanged)
  await build.start()
  await until('both effects', () => shop.applied.length === 2)

  expect(shop.applied.toSorted((a, b) => a.type.localeCompare(b.type))).toEqual([
    { type: 'shop.orders.OrderPaid.v1', data: { id: 'a', amount: 1250, currency: 'EUR', note: null } },
    { type: 'shop.orders.PriceChanged.v1', data: { id: 'tea', net: 1250, vat: 0 } },
  ])
})

test('a build that still handles the old version reads the new one, once it has its file', async () => {
  const shop = await Shop.open()
  await shop.publish(shop.build(), next.OrderPaid({ id: 'a', amount: 1250, currency: 'USD' }))

  const build = shop.build(next.OrderPaidV1)
  await build.start()
  await until('the effect', () => shop.applied.length === 1)

  expect(shop.applied).toEqual([{ type: 'shop.orders.OrderPaid.v2', data: { id: 'a', amount: 1250 } }])
})

test('with a registry an old build reads what the new one left in the outbox, without having its file', async () => {
  const shop = await Shop.withRegistry()
  await shop.publish(shop.build(), next.OrderPaid({ id: 'a', amount: 1250, currency: 'USD' }))

  const rolledBack = shop.build(old.OrderPaid)
  await rolledBack.start()
  await until('the effect', () => shop.applied.length === 1)

  expect(shop.applied).toEqual([{ type: 'shop.orders.OrderPaid.v2', data: { id: 'a', amount: 1250 } }])
})

test('an old build sends what the new one left in the outbox, parks what it cannot read, and the new build can read it', async () => {
  const shop = await Shop.open()
  await shop.publish(
    shop.build(),
    next.OrderPaid({ id: 'a', amount: 1, note: 'first' }),
    next.OrderPaidV1({ id: 'a', amount: 2 }),
    next.OrderPaidV1({ id: 'b', amount: 3 }),
  )

  const rolledBack = shop.build(old.OrderPaid)
  await rolledBack.start()
  await until('the neighbour', () => shop.applied.length === 1)
  const parked = await until('the queue', async () => {
    const rows = await shop.query(rolledBack, parkedSql)
    return rows.length === 2 && rows
  })
  await rolledBack.stop()

  expect(shop.applied).toEqual([{ type: 'shop.orders.OrderPaid.v1', data: { id: 'b', amount: 3 } }])
  expect(parked.map(({ state, attempts, reason_code }) => ({ state, attempts, reason_code }))).toEqual([
    { state: 'waiting', attempts: 0, reason_code: 'SCHEMA_UNKNOWN' },
    { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED' },
  ])
  expect(parked.map((row) => dataIn(route(row, next.OrderPaid)))).toEqual([
    { id: 'a', amount: 1, currency: 'EUR', note: 'first' },
    { id: 'a', amount: 2, currency: 'EUR', note: null },
  ])
})

test('a dead letter that one build kept is read by the other: the old one by the new, and the new one where its file is known', async () => {
  const shop = await Shop.open()
  await shop.publish(shop.build(), next.OrderPaidV1({ id: 'a', amount: 1 }), next.OrderPaid({ id: 'b', amount: 2 }))
  const failing = shop.build()
  failing.subscribe(next.OrderPaid, () => Promise.reject(new Error('never works')), { retry: { inline: 0, delays: [] } })
  await failing.start()
  const kept = await until('two dead letters', async () => {
    const rows = await shop.query(failing, parkedSql)
    return rows.length === 2 && rows.toSorted((a, b) => String(a['record_key']).localeCompare(String(b['record_key'])))
  })

  const [byNew, byOldWithTheFile, byOld] = [next.OrderPaid, next.OrderPaidV1, old.OrderPaid].map((contract) =>
    kept.map((row) => route(row, contract)),
  )

  expect(kept.map(({ state }) => state)).toEqual(['dead', 'dead'])
  expect(byNew?.map(dataIn)).toEqual([
    { id: 'a', amount: 1, currency: 'EUR', note: null },
    { id: 'b', amount: 2, currency: 'EUR', note: null },
  ])
  expect(byOldWithTheFile?.map(dataIn)).toEqual([
    { id: 'a', amount: 1 },
    { id: 'b', amount: 2 },
  ])
  expect(byOld?.map(({ kind }) => kind)).toEqual(['message', 'unknown schema'])
})

const parkedSql = 'select * from trunkline.parked_message order by seq'

/** What a build with that contract makes of a stored record. */
function route(row: Record<string, unknown>, contract: AnyContract): Routed<object> {
  const { record_key: key, record_value: value, record_headers: headers, record_timestamp_ms: at } = row
  if (!Buffer.isBuffer(key) || !Buffer.isBuffer(value) || !Buffer.isBuffer(headers) || at === undefined)
    throw new Error('Not a parked row.')
  const record: ConsumedRecord = {
    offset: BigInt(String(row['record_offset'])),
    key,
    value,
    headers: unpackHeaders(headers),
    timestampMs: Number(at),
  }
  const policy = anyPolicy
  const subscription = { contract, handler: () => Promise.resolve(), policy }
  const place = { topic: String(row['topic']), partition: Number(row['partition']) }
  return routeRecord(record, place, { subscriptions: new Map([[contract.definition.name, subscription]]) })
}

function dataIn(routed: Routed<object>): unknown {
  return routed.kind === 'message' ? routed.message.data : routed
}
