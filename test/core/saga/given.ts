import { expect } from 'vitest'
import { ConfirmOrder, OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { PaymentRefused, RefundPayment, TakePayment } from '../../../examples/order-fulfilment/contracts/payments.ts'
import { ReleaseStock, ReserveStock, StockRefused } from '../../../examples/order-fulfilment/contracts/stock.ts'
import type { Outgoing } from '../../../src/core/contract/contract.ts'
import { type SagaDefinition, saga } from '../../../src/core/saga/definition.ts'
import { commandId, newInstance, type SagaInput, type SagaInstance, type StepRun } from '../../../src/core/saga/transition.ts'

export const order = { orderId: 'o-1', sku: 'lamp', quantity: 2, total: 4_900 }
export type Order = typeof order

export const head = {
  version: 1,
  startedBy: OrderPlaced,
  commands: [ReserveStock, ReleaseStock, TakePayment, RefundPayment, ConfirmOrder],
  key: (placed: typeof OrderPlaced.message) => placed.data.orderId,
  state: (placed: typeof OrderPlaced.message): Order => placed.data,
}

const undecided = saga('order-fulfilment', head)
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
    attempts: 1,
  })

/** The example of the repository. */
export const fulfilment = undecided.pivot('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }) })

/** Decided by the payment; the confirmation is sent until it succeeds. */
export const decidedByPayment = saga('decided-by-payment', head)
  .step('reserve', {
    command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: s.quantity }),
    compensation: (s) => ReleaseStock({ orderId: s.orderId }),
    refusedBy: [StockRefused],
  })
  .pivot('pay', { command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }), refusedBy: [PaymentRefused], attempts: 2 })
  .step('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }), attempts: 2 })

/** An instance that waits for the reply of a step; those before it are done. */
export function instanceOf<State>(definition: SagaDefinition<State>, at: { readonly at: string; readonly state: State }): SagaInstance {
  const fresh = newInstance(definition.graph, 'o-1', at.state)
  const index = definition.graph.steps.findIndex((step) => step.name === at.at)
  const steps = definition.graph.steps.slice(0, index + 1).map(
    (step): StepRun => ({
      name: step.name,
      status: step.name === at.at ? 'pending' : 'done',
      commandId: commandId(fresh.id, step.name, 'action'),
      command: step.command(at.state).name,
      attempt: 1,
      compensation: null,
    }),
  )
  return { ...fresh, steps }
}

/** The answer to whatever the instance waits for. */
export function reply(instance: SagaInstance, message: Outgoing): SagaInput {
  return { kind: 'reply', commandId: pendingCommand(instance) ?? 'none', name: message.name, data: message.data }
}

export function pendingCommand(instance: SagaInstance): string | undefined {
  const action = instance.steps.find((step) => step.status === 'pending')
  return action?.commandId ?? instance.steps.find((step) => step.compensation?.status === 'pending')?.compensation?.commandId
}

/** What stands for the effect that sends this message, whatever its ids. */
export function send(message: Outgoing): unknown {
  return expect.objectContaining({ kind: 'send', message })
}

export const timer: SagaInput = { kind: 'timer' }
