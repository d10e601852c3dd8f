import { Pool } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { DemandSurged, ReserveStock, StockRefused, StockReserved } from '../../../examples/order-fulfilment/contracts/stock.ts'
import { fulfilment } from '../../../examples/order-fulfilment/orders/fulfilment.ts'
import { stockService } from '../../../examples/order-fulfilment/stock/service.ts'
import { createTables } from '../../../examples/order-fulfilment/stock/tables.ts'
import { type TestBackboneOptions, testBackbone } from '../../../src/faces/testing/testing.ts'
import type { Backbone, Transaction } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'

const orderId = '6f2c1a3e-0000-4000-8000-000000000001'
const order = { orderId, sku: 'tea', quantity: 3, total: 1250 }
const Counted = countedOn('counted')

async function open(options: Partial<TestBackboneOptions> = {}) {
  const t = await testBackbone({
    register: [stockService],
    prepare: shelves,
    service: 'stock',
    database: inject('databaseUrl'),
    ...options,
  })
  onTestFinished(() => t.close())
  return t
}

async function shelves(tx: Transaction): Promise<void> {
  await createTables(tx)
  await tx.query("insert into stock (sku, available) values ('tea', 10)")
}

async function counters(tx: Transaction): Promise<void> {
  await tx.query('create table counter (key text primary key, seen integer not null)')
}

/** Counts in the transaction of its message, as a handler should. */
function counting(backbone: Backbone): void {
  backbone.subscribe(Counted, async ({ data }, { tx }) => {
    await tx.query('insert into counter values ($1, 1) on conflict (key) do update set seen = counter.seen + 1', [data.key])
  })
}

test('a command is answered, its effect is there and nothing else was published', async () => {
  const t = await open()

  await t.publish(ReserveStock({ orderId, sku: 'tea', quantity: 3 }))
  await t.quiet()

  expect(t.published(StockReserved).once()).toMatchObject({ data: { orderId }, source: '/stock' })
  t.published(StockRefused).none()
  expect(await t.query('select available from stock')).toEqual([{ available: 7 }])
})

test('quiet waits for the whole cascade: what a handler publishes, and what that sets off', async () => {
  const links = 6
  const chain = (backbone: Backbone): void =>
    backbone.subscribe(Counted, async ({ data }, { publish }) => {
      if (data.version < links) publish(Counted({ key: data.key, version: data.version + 1 }))
    })
  const t = await open({ register: [chain], prepare: counters })

  await t.publish(Counted({ key: 'a', version: 1 }))
  await t.quiet()

  expect(
    t
      .published(Counted)
      .times(links)
      .map(({ correlationId }) => correlationId),
  ).toEqual(Array(links).fill(expect.any(String)))
})

test('an expectation that fails says what was published and why deliveries failed', async () => {
  const t = await open()
  await t.publish([OrderPlaced(order), OrderPlaced({ ...order, quantity: 4 })])
  await t.quiet()

  expect(() =>
    t
      .published(OrderPlaced)
      .with(({ data }) => data.quantity === 4)
      .times(2),
  ).toThrow(
    /Expected 2 × shop.orders.OrderPlaced that fit, found 1 that fit \(of 2\)[\s\S]*quantity: 3[\s\S]*\* .*quantity: 4[\s\S]*2 × shop.orders.OrderPlaced.v1/,
  )
  expect(() => t.published(DemandSurged).once()).toThrow(
    /Expected 1 × shop.stock.DemandSurged, found 0[\s\S]*2 × shop.orders.OrderPlaced.v1/,
  )
  expect(() => t.published(OrderPlaced).none()).toThrow(/Expected 0 ×/)
})

test('what was published without waiting for quiet is not there yet, and the message says so', async () => {
  const t = await open()

  expect(() => t.published(StockReserved).once()).toThrow(/Is "await t.quiet\(\)" before it\?/)
})

test('a message that no handler can apply fails the test, with the error of the handler', async () => {
  const t = await open({ prepare: counters })
  await t.publish(ReserveStock({ orderId, sku: 'tea', quantity: 3 }))

  await expect(t.quiet()).rejects.toThrow(/1 messages could not be applied[\s\S]*relation "stock" does not exist/)
  await t.quiet({ allowDeadLetters: true })
  // The first attempt, two inline, and one after each of the two delays of its subscription.
  expect(await t.deadLetters()).toMatchObject([{ group: 'stock', topic: 'stock.commands', attempts: 5 }])
})

test('quiet brings the retries of a parked key forward, and they run in order', async () => {
  const applied: unknown[] = []
  const failing = (backbone: Backbone): void =>
    backbone.subscribe(
      Counted,
      async ({ data }, { attempt }) => {
        if (data.version === 1 && attempt < 4) throw new Error('not yet')
        applied.push([data.version, attempt])
      },
      { retry: { inline: 0, delays: ['1m', '10m', '1h'] } },
    )
  const t = await open({ register: [failing] })
  await t.publish([1, 2].map((version) => Counted({ key: 'a', version })))

  await t.quiet()

  expect(applied).toEqual([
    [1, 4],
    [2, 1],
  ])
})

test('a cascade that never ends is told with what is still to be done', async () => {
  const endless = (backbone: Backbone): void =>
    backbone.subscribe(Counted, async ({ data }, { publish }) => publish(Counted({ key: data.key, version: data.version + 1 })))
  const t = await open({ register: [endless] })
  await t.publish(Counted({ key: 'a', version: 1 }))

  await expect(t.quiet({ within: '300ms' })).rejects.toThrow(
    /not quiet within 300 ms: .*(counted|in the outbox).*a cascade that feeds itself never ends/,
  )
})

test('time moves in the process and in SQL at once, on every connection', async () => {
  const t = await open()
  const own = new Pool({ connectionString: t.databaseUrl })
  onTestFinished(() => own.end())
  const now = async () => Number((await own.query('select extract(epoch from trunkline.now()) * 1000 as now')).rows[0].now)
  const before = await now()

  await t.advance('3h')

  expect((await now()) - before).toBeGreaterThanOrEqual(3 * 3_600_000)
  await t.publish(OrderPlaced(order))
  await t.quiet()
  expect(t.published(OrderPlaced).once().time.getTime() - Date.now()).toBeGreaterThan(3 * 3_590_000)
})

test('a saga waits for its timer until time is moved to it', async () => {
  const t = await open({ register: [(backbone) => backbone.saga(fulfilment)], service: 'orders' })
  await t.publish(OrderPlaced(order))

  await t.quiet()
  const [first] = t.published(ReserveStock).times(1)
  await t.advance('31s')
  await t.quiet()

  expect(t.published(ReserveStock).times(2)).toContainEqual(first)
})

test('quiet goes through all timers of a saga when it is asked to', async () => {
  const t = await open({ register: [(backbone) => backbone.saga(fulfilment)], service: 'orders' })
  await t.publish(OrderPlaced(order))

  await t.quiet({ timers: true })

  expect(await t.query('select distinct status from trunkline.saga_instance')).not.toEqual([{ status: 'running' }])
})

test('a process that crashes starts again, and its effects are there once', async () => {
  const t = await open({ register: [counting], prepare: counters })
  const started = t.backbone.diagnostics.next('delivery.started')
  await t.publish(Counted({ key: 'a', version: 1 }))

  await started
  const dead = t.backbone
  t.crash()
  await t.quiet()

  expect(t.backbone).not.toBe(dead)
  expect(await t.query('select * from counter')).toEqual([{ key: 'a', seen: 1 }])
})

test('several services of one test share its database and its log', async () => {
  const asks = (backbone: Backbone): void =>
    backbone.subscribe(OrderPlaced, async ({ data }, { publish }) =>
      publish(ReserveStock({ orderId: data.orderId, sku: data.sku, quantity: data.quantity })),
    )
  const stock = (backbone: Backbone): void => backbone.subscribe(ReserveStock, async ({ data }) => StockReserved({ orderId: data.orderId }))
  const t = await open({ register: [asks, stock] })

  await t.publish(OrderPlaced(order))
  await t.quiet()

  expect(t.published(StockReserved).once().key).toBe(orderId)
})

test('what a function of register throws reaches the test, and leaves no database behind', async () => {
  const twice = (backbone: Backbone): void => {
    counting(backbone)
    counting(backbone)
  }

  await expect(open({ register: [twice] })).rejects.toThrow(/already has a handler for test.Counted/)
})

test('an unknown option is refused with its nearest name', async () => {
  // @ts-expect-error the type already refuses it
  await expect(testBackbone({ register: [counting], partition: 3 })).rejects.toThrow(
    /unknown option "partition" \(did you mean "partitions"\?\)/,
  )
})
