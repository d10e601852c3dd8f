import type { Backbone, Transaction } from 'trunkline'
import { OrderPlaced } from '../contracts/orders.ts'
import { DemandSurged, ReleaseStock, ReserveStock, StockRefused, StockReleased, StockReserved } from '../contracts/stock.ts'

/** Demand above this is news. */
const SURGE = 1000

/** Keeps the shelves: counts what is ordered, reserves and releases. */
export function stockService(backbone: Backbone): void {
  backbone.subscribe(
    OrderPlaced,
    async (order, { tx, publish }) => {
      const { sku, quantity } = order.data
      const { rows } = await tx.query(
        `insert into demand (sku, ordered) values ($1, $2)
         on conflict (sku) do update set ordered = demand.ordered + excluded.ordered
         returning ordered`,
        [sku, quantity],
      )
      const ordered = Number(rows[0]?.['ordered'])
      if (ordered > SURGE && ordered - quantity <= SURGE) publish(DemandSurged({ sku }))
    },
    { retry: { inline: 2 }, timeout: '5s' },
  )

  // A saga waits for the answer: what fails is tried again soon, and then left to a person.
  backbone.subscribe(
    ReserveStock,
    async (command, { tx }) => {
      const { orderId, sku, quantity } = command.data
      return (await take(tx, orderId, sku, quantity)) ? StockReserved({ orderId }) : StockRefused({ orderId, reason: 'out of stock' })
    },
    { retry: { delays: ['250ms', '1s'] } },
  )

  backbone.subscribe(ReleaseStock, async (command, { tx }) => {
    const { orderId } = command.data
    await tx.query(
      `with released as (delete from reservation where order_id = $1 returning sku, quantity)
       update stock set available = available + released.quantity from released where stock.sku = released.sku`,
      [orderId],
    )
    return StockReleased({ orderId })
  })
}

/** @returns whether there was enough */
async function take(tx: Transaction, orderId: string, sku: string, quantity: number): Promise<boolean> {
  const { rowCount } = await tx.query('update stock set available = available - $2 where sku = $1 and available >= $2', [sku, quantity])
  if (rowCount === 0) return false
  await tx.query('insert into reservation (order_id, sku, quantity) values ($1, $2, $3)', [orderId, sku, quantity])
  return true
}
