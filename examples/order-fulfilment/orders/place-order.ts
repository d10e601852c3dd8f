import type { Backbone } from 'trunkline'
import { OrderPlaced } from '../contracts/orders.ts'

export interface Order {
  readonly orderId: string
  readonly sku: string
  readonly quantity: number
  /** In minor units. */
  readonly total: number
}

/** The order and the event that tells of it commit together, or neither does. */
export async function placeOrder(backbone: Backbone, order: Order): Promise<void> {
  await backbone.transaction(async (tx) => {
    await tx.query('insert into orders (id, sku, quantity, total) values ($1, $2, $3, $4)', [
      order.orderId,
      order.sku,
      order.quantity,
      order.total,
    ])
    await backbone.publish(tx, OrderPlaced(order))
  })
}
