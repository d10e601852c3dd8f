import type { Backbone } from 'trunkline'
import { ConfirmOrder, OrderConfirmed } from '../contracts/orders.ts'
import { fulfilment } from './fulfilment.ts'

/** Takes orders and sees each of them through. */
export function ordersService(backbone: Backbone): void {
  backbone.saga(fulfilment)

  backbone.subscribe(ConfirmOrder, async (command, { tx }) => {
    await tx.query("update orders set status = 'confirmed' where id = $1", [command.data.orderId])
    return OrderConfirmed({ orderId: command.data.orderId })
  })
}
