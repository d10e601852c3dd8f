import { saga } from 'trunkline'
import { ConfirmOrder, OrderPlaced } from '../contracts/orders.ts'
import { PaymentRefused, RefundPayment, TakePayment } from '../contracts/payments.ts'
import { ReleaseStock, ReserveStock, StockRefused } from '../contracts/stock.ts'

/** Reserve the stock, take the payment, confirm; or undo what was done. */
export const fulfilment = saga('order-fulfilment', {
  version: 1,
  startedBy: OrderPlaced,
  commands: [ReserveStock, ReleaseStock, TakePayment, RefundPayment, ConfirmOrder],
  key: (order) => order.data.orderId,
  state: (order) => order.data,
})
  .step('reserve', {
    command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: s.quantity }),
    compensation: (s) => ReleaseStock({ orderId: s.orderId }),
    refusedBy: [StockRefused],
    timeout: '30s',
  })
  .step('pay', {
    command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }),
    compensation: (s) => RefundPayment({ orderId: s.orderId }),
    refusedBy: [PaymentRefused],
    timeout: '30s',
  })
  .pivot('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }) })
