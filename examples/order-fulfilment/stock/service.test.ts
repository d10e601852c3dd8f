import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { Transaction } from 'trunkline'
import { testBackbone } from 'trunkline/testing'
import { OrderPlaced } from '../contracts/orders.ts'
import { DemandSurged, ReleaseStock, ReserveStock, StockRefused, StockReleased, StockReserved } from '../contracts/stock.ts'
import { stockService } from './service.ts'
import { createTables } from './tables.ts'

const open = () => testBackbone({ register: [stockService], prepare: tenTeas, service: 'stock' })
const orderIds = [1, 2, 3].map((number) => `00000000-0000-4000-8000-00000000000${number}`)

async function tenTeas(tx: Transaction): Promise<void> {
  await createTables(tx)
  await tx.query("insert into stock (sku, available) values ('tea', 10)")
}

test('takes what was reserved from the shelf, and refuses what is not there', async () => {
  await using t = await open()

  await t.publish(orderIds.map((orderId) => ReserveStock({ orderId, sku: 'tea', quantity: 4 })))
  await t.quiet()

  t.published(StockReserved).times(2)
  equal(t.published(StockRefused).once().data.reason, 'out of stock')
  deepEqual(await t.query('select available from stock'), [{ available: 2 }])
})

test('puts back what was released', async () => {
  await using t = await open()
  const [orderId = ''] = orderIds

  await t.publish([ReserveStock({ orderId, sku: 'tea', quantity: 4 }), ReleaseStock({ orderId })])
  await t.quiet()

  t.published(StockReleased)
    .with(({ data }) => data.orderId === orderId)
    .once()
  deepEqual(await t.query('select available from stock'), [{ available: 10 }])
})

test('tells of a surge once, however much is ordered after it', async () => {
  await using t = await open()

  await t.publish(orderIds.map((orderId) => OrderPlaced({ orderId, sku: 'tea', quantity: 600, total: 1 })))
  await t.quiet()

  t.published(DemandSurged).once()
})

test('no cup of tea is lost or sold twice, whatever goes wrong', async () => {
  await using t = await open()

  await t.explore({ runs: 5 }, async (run) => {
    await run.publish(orderIds.map((orderId) => ReserveStock({ orderId, sku: 'tea', quantity: 4 })))
    await run.quiet()

    const [kept] = await run.query('select available + (select sum(quantity) from reservation) as teas from stock')
    equal(Number(kept?.['teas']), 10)
    run.published(StockReserved).times(2)
  })
})
