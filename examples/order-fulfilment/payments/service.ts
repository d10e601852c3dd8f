import type { Backbone, Transaction } from 'trunkline'
import { PaymentRefunded, PaymentRefused, PaymentTaken, RefundPayment, TakePayment } from '../contracts/payments.ts'

/** No single payment may be larger, in minor units. */
const LIMIT = 50_000

/** Moves money from the customers' account to the shop's, and back. */
export function paymentsService(backbone: Backbone): void {
  backbone.subscribe(TakePayment, async (command, { tx }) => {
    const { orderId, amount } = command.data
    if (amount > LIMIT) return PaymentRefused({ orderId, reason: 'above the limit' })
    if (!(await move(tx, amount, 'customers', 'shop'))) return PaymentRefused({ orderId, reason: 'no cover' })
    await tx.query('insert into payment (order_id, amount) values ($1, $2)', [orderId, amount])
    return PaymentTaken({ orderId })
  })

  backbone.subscribe(RefundPayment, async (command, { tx }) => {
    const { orderId } = command.data
    const { rows } = await tx.query('delete from payment where order_id = $1 returning amount', [orderId])
    if (rows[0] !== undefined) await move(tx, Number(rows[0]['amount']), 'shop', 'customers')
    return PaymentRefunded({ orderId })
  })
}

/** @returns whether `from` had enough */
async function move(tx: Transaction, amount: number, from: string, to: string): Promise<boolean> {
  const { rowCount } = await tx.query('update account set balance = balance - $2 where name = $1 and balance >= $2', [from, amount])
  if (rowCount === 0) return false
  await tx.query('update account set balance = balance + $2 where name = $1', [to, amount])
  return true
}
