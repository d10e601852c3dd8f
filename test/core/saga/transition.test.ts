import { expect, test } from 'vitest'
import { ConfirmOrder, OrderConfirmed } from '../../../examples/order-fulfilment/contracts/orders.ts'
import {
  PaymentRefunded,
  PaymentRefused,
  PaymentTaken,
  RefundPayment,
  TakePayment,
} from '../../../examples/order-fulfilment/contracts/payments.ts'
import {
  ReleaseStock,
  ReserveStock,
  StockRefused,
  StockReleased,
  StockReserved,
} from '../../../examples/order-fulfilment/contracts/stock.ts'
import { CommandSettled } from '../../../src/core/contract/command-settled.ts'
import { saga } from '../../../src/core/saga/definition.ts'
import { COMMAND_SETTLED, type SagaGraph } from '../../../src/core/saga/graph.ts'
import {
  COMPENSATION_ATTEMPTS,
  newInstance,
  type SagaEffect,
  type SagaInput,
  type SagaInstance,
  transition,
} from '../../../src/core/saga/transition.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { nameId } from '../../../src/foundation/ids.ts'
import { decidedByPayment, fulfilment, head, instanceOf, order, reply, send, timer } from './given.ts'

const { orderId } = order
const reserved = StockReserved({ orderId })
const taken = PaymentTaken({ orderId })
const released = StockReleased({ orderId })
const refunded = PaymentRefunded({ orderId })

/** Feeds replies and timers in order. @returns the instance and the last effects */
function after(graph: SagaGraph, instance: SagaInstance, ...inputs: readonly ((now: SagaInstance) => SagaInput)[]) {
  let now = instance
  let effects: readonly SagaEffect[] = []
  for (const input of inputs) ({ instance: now, effects } = transition(graph, now, input(now)))
  return { instance: now, effects }
}

const answer = (message: Parameters<typeof reply>[1]) => (now: SagaInstance) => reply(now, message)
const timeout = (): SagaInput => timer

test('sends the first command when it is started', () => {
  const { instance, effects } = transition(fulfilment.graph, newInstance(fulfilment.graph, 'o-1', order), { kind: 'started' })

  expect(instance.status).toBe('running')
  expect(effects).toEqual([send(ReserveStock({ orderId, sku: 'lamp', quantity: 2 }))])
})

test('names instances and commands by UUIDv5, the same for ever', () => {
  const { instance, effects } = transition(fulfilment.graph, newInstance(fulfilment.graph, 'o-1', order), { kind: 'started' })

  expect(instance.id).toBe(nameId('order-fulfilment/o-1'))
  expect(effects).toMatchObject([{ commandId: nameId('reserve/action/1', instance.id), actionId: null, attempt: 1, replyWithinMs: 30_000 }])
})

test('goes from reply to reply to its end', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })

  const paying = after(fulfilment.graph, started, answer(reserved))
  const confirming = after(fulfilment.graph, paying.instance, answer(taken))
  const completed = after(fulfilment.graph, confirming.instance, answer(OrderConfirmed({ orderId })))

  expect(paying.effects).toEqual([send(TakePayment({ orderId, amount: 4_900 }))])
  expect(confirming.effects).toEqual([send(ConfirmOrder({ orderId }))])
  expect(completed.instance.status).toBe('completed')
  expect(completed.effects).toEqual([])
})

test('releases the stock when the payment is refused', () => {
  const waitingForPayment = instanceOf(fulfilment, { at: 'pay', state: order })

  const { instance, effects } = transition(
    fulfilment.graph,
    waitingForPayment,
    reply(waitingForPayment, PaymentRefused({ orderId: order.orderId, reason: 'limit' })),
  )

  expect(instance.status).toBe('compensating')
  expect(effects).toEqual([send(ReleaseStock({ orderId: order.orderId }))])
})

test('has nothing to undo when the first step is refused', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })

  const { instance, effects } = transition(fulfilment.graph, started, reply(started, StockRefused({ orderId, reason: 'out of stock' })))

  expect(instance).toMatchObject({ status: 'compensated', reason: '"reserve" was refused by shop.stock.StockRefused' })
  expect(effects).toEqual([])
})

test('refunds a payment that timed out, then releases the stock, one after the other', () => {
  const waitingForPayment = instanceOf(fulfilment, { at: 'pay', state: order })

  const refunding = after(fulfilment.graph, waitingForPayment, timeout)
  const releasing = after(fulfilment.graph, refunding.instance, answer(refunded))
  const compensated = after(fulfilment.graph, releasing.instance, answer(released))

  expect(refunding.instance.steps[1]).toMatchObject({ name: 'pay', status: 'unknown' })
  expect(refunding.effects).toEqual([send(RefundPayment({ orderId }))])
  expect(refunding.effects).toMatchObject([{ direction: 'compensation', actionId: waitingForPayment.steps[1]?.commandId }])
  expect(releasing.effects).toEqual([send(ReleaseStock({ orderId }))])
  expect(compensated.instance.status).toBe('compensated')
})

test('sends the same command id again until the attempts before the pivot are used up', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })

  const second = after(fulfilment.graph, started, timeout)
  const third = after(fulfilment.graph, second.instance, timeout)
  const givenUp = after(fulfilment.graph, third.instance, timeout)

  const commandId = started.steps[0]?.commandId
  expect(second.effects).toMatchObject([{ commandId, attempt: 2, replyWithinMs: 30_000 }])
  expect(third.effects).toMatchObject([{ commandId, attempt: 3 }])
  expect(givenUp.instance).toMatchObject({ status: 'compensating', reason: '"reserve" got no reply to 3 attempts' })
  expect(givenUp.effects).toEqual([send(ReleaseStock({ orderId }))])
})

test('applies the reply to any attempt', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })

  const { effects } = after(fulfilment.graph, started, timeout, timeout, answer(reserved))

  expect(effects).toEqual([send(TakePayment({ orderId, amount: 4_900 }))])
})

test('ignores a reply that comes a second time', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })
  const paying = after(fulfilment.graph, started, answer(reserved))

  const again = transition(fulfilment.graph, paying.instance, reply(started, reserved))

  expect(again.instance).toBe(paying.instance)
  expect(again.effects).toEqual([{ kind: 'ignored', reason: 'duplicate' }])
})

test('ignores a reply that comes after the step was given up', () => {
  const waitingForPayment = instanceOf(fulfilment, { at: 'pay', state: order })
  const refunding = after(fulfilment.graph, waitingForPayment, timeout)

  const late = transition(fulfilment.graph, refunding.instance, reply(waitingForPayment, taken))

  expect(late.instance).toBe(refunding.instance)
  expect(late.effects).toEqual([{ kind: 'ignored', reason: 'late' }])
})

test('ignores a reply to a command that it did not send', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })
  const input: SagaInput = { kind: 'reply', commandId: nameId('somebody else'), name: reserved.name, data: reserved.data }

  expect(transition(fulfilment.graph, started, input).effects).toEqual([{ kind: 'ignored', reason: 'unknown' }])
})

test('ignores a reply that the pending command does not declare', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })

  expect(transition(fulfilment.graph, started, reply(started, taken)).effects).toEqual([{ kind: 'ignored', reason: 'unknown' }])
})

test('ignores a second start', () => {
  const started = instanceOf(fulfilment, { at: 'reserve', state: order })

  expect(transition(fulfilment.graph, started, { kind: 'started' }).effects).toEqual([{ kind: 'ignored', reason: 'duplicate' }])
})

test('takes a cancelled action for a refused one', () => {
  const waitingForPayment = instanceOf(fulfilment, { at: 'pay', state: order })

  const { effects } = transition(fulfilment.graph, waitingForPayment, reply(waitingForPayment, CommandSettled({ outcome: 'cancelled' })))

  expect(CommandSettled.definition.name).toBe(COMMAND_SETTLED)
  expect(effects).toEqual([send(ReleaseStock({ orderId }))])
})

test('takes a compensation that had nothing to undo for done', () => {
  const waitingForPayment = instanceOf(fulfilment, { at: 'pay', state: order })

  const { effects } = after(fulfilment.graph, waitingForPayment, timeout, answer(CommandSettled({ outcome: 'nothing to compensate' })))

  expect(effects).toEqual([send(ReleaseStock({ orderId }))])
})

test('compensates what came before when the pivot says no', () => {
  const deciding = instanceOf(decidedByPayment, { at: 'pay', state: order })

  const { instance, effects } = transition(decidedByPayment.graph, deciding, reply(deciding, PaymentRefused({ orderId, reason: 'limit' })))

  expect(instance.status).toBe('compensating')
  expect(effects).toEqual([send(ReleaseStock({ orderId }))])
})

test('never compensates a pivot without an answer: it is stuck, and the answer that comes after all goes on', () => {
  const deciding = instanceOf(decidedByPayment, { at: 'pay', state: order })

  const again = after(decidedByPayment.graph, deciding, timeout)
  const stuck = after(decidedByPayment.graph, again.instance, timeout)
  const answered = after(decidedByPayment.graph, stuck.instance, answer(taken))

  expect(again.effects).toMatchObject([{ commandId: deciding.steps[1]?.commandId, attempt: 2, replyWithinMs: 60_000 }])
  expect(stuck).toMatchObject({ instance: { status: 'stuck', reason: '"pay" got no reply to 2 attempts' }, effects: [] })
  expect(answered).toMatchObject({ instance: { status: 'running', reason: null }, effects: [send(ConfirmOrder({ orderId }))] })
})

test('is stuck, and compensates nothing, when a step after the pivot gets no answer', () => {
  const confirming = instanceOf(decidedByPayment, { at: 'confirm', state: order })

  const { instance, effects } = after(decidedByPayment.graph, confirming, timeout, timeout)

  expect(instance.status).toBe('stuck')
  expect(effects).toEqual([])
})

test('is stuck when a compensation gets no answer to all its attempts, and goes on when one comes after all', () => {
  const refunding = after(fulfilment.graph, instanceOf(fulfilment, { at: 'pay', state: order }), timeout).instance

  const stuck = after(fulfilment.graph, refunding, ...Array.from({ length: COMPENSATION_ATTEMPTS }, () => timeout))
  const answered = after(fulfilment.graph, stuck.instance, answer(refunded))

  expect(stuck.instance).toMatchObject({
    status: 'stuck',
    reason: '"pay" got no reply to 1 attempt; then the compensation of "pay" got no reply to 10 attempts',
  })
  expect(answered).toMatchObject({ instance: { status: 'compensating' }, effects: [send(ReleaseStock({ orderId }))] })
})

test('leaves more and more time between the attempts of a compensation, up to a limit', () => {
  let instance = after(fulfilment.graph, instanceOf(fulfilment, { at: 'pay', state: order }), timeout).instance
  const windows: number[] = []
  for (let attempt = 2; attempt <= COMPENSATION_ATTEMPTS; attempt++) {
    const next = transition(fulfilment.graph, instance, timer)
    for (const effect of next.effects) if (effect.kind === 'send') windows.push(effect.replyWithinMs)
    instance = next.instance
  }

  expect(windows).toEqual([60_000, 120_000, 240_000, 480_000, 900_000, 900_000, 900_000, 900_000, 900_000])
})

test('is stuck when a compensation is refused', () => {
  const definition = saga('refusable-undo', head)
    .step('pay', {
      command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }),
      compensation: (s) => TakePayment({ orderId: s.orderId, amount: s.total }),
      refusedBy: [PaymentRefused],
    })
    .step('reserve', {
      command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }),
      compensation: 'none',
      refusedBy: [StockRefused],
    })
  const reserving = instanceOf(definition, { at: 'reserve', state: order })

  const { instance, effects } = after(
    definition.graph,
    reserving,
    answer(StockRefused({ orderId, reason: 'none' })),
    answer(PaymentRefused({ orderId, reason: 'limit' })),
  )

  expect(instance.status).toBe('stuck')
  expect(instance.reason).toContain('the compensation of "pay" was refused')
  expect(effects).toEqual([])
})

test('passes over steps that have nothing to undo', () => {
  const definition = saga('partly-undone', head)
    .step('reserve', {
      command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }),
      compensation: (s) => ReleaseStock({ orderId: s.orderId }),
    })
    .step('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }), compensation: 'none' })
    .step('pay', { command: (s) => TakePayment({ orderId: s.orderId, amount: 1 }), compensation: 'none', refusedBy: [PaymentRefused] })
  const paying = instanceOf(definition, { at: 'pay', state: order })

  const { effects } = transition(definition.graph, paying, reply(paying, PaymentRefused({ orderId, reason: 'limit' })))

  expect(effects).toEqual([send(ReleaseStock({ orderId }))])
})

test('folds a reply into the state, for every later step', () => {
  const definition = saga('folding', head)
    .step('reserve', {
      command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: s.quantity }),
      compensation: (s) => ReleaseStock({ orderId: s.orderId }),
      onReply: (s, answered) => ({ ...s, total: answered.name === 'shop.stock.StockReserved' ? 99 : s.total }),
    })
    .pivot('pay', { command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }) })
  const reserving = instanceOf(definition, { at: 'reserve', state: order })

  const { instance, effects } = transition(definition.graph, reserving, reply(reserving, reserved))

  expect(instance.state).toEqual({ ...order, total: 99 })
  expect(effects).toEqual([send(TakePayment({ orderId, amount: 99 }))])
})

test('ignores a timer that fires when nothing is waited for', () => {
  const started = instanceOf(fulfilment, { at: 'confirm', state: order })
  const completed = after(fulfilment.graph, started, answer(OrderConfirmed({ orderId }))).instance

  expect(transition(fulfilment.graph, completed, timer)).toEqual({ instance: completed, effects: [] })
})

test('says which function of the definition threw, and leaves the instance as it was', () => {
  const definition = saga('throwing', head).step('reserve', {
    command: () => {
      throw new Error('no such article')
    },
    compensation: 'none',
  })
  const fresh = newInstance(definition.graph, 'o-1', order)
  const before = structuredClone(fresh)

  expect(() => transition(definition.graph, fresh, { kind: 'started' })).toThrow(
    'Step "reserve" of saga "throwing" cannot go on: its action threw: no such article',
  )
  expect(fresh).toEqual(before)
})

test('refuses to send a command whose replies the saga does not read', () => {
  const definition = saga('undeclared', { ...head, commands: [ReserveStock, ReleaseStock] }).step('reserve', {
    // @ts-expect-error TakePayment is not among the saga's commands
    command: (s) => TakePayment({ orderId: s.orderId, amount: 1 }),
    compensation: 'none',
  })
  const start = () => transition(definition.graph, newInstance(definition.graph, 'o-1', order), { kind: 'started' })

  expect(start).toThrow('"shop.payments.TakePayment", which "commands" does not list')
  expect(start).toThrow(expect.toSatisfy((error: unknown) => isTrunklineError(error, 'SAGA_STEP_FAILED')))
})
