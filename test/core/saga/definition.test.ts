import { expect, test } from 'vitest'
import { ConfirmOrder, OrderConfirmed, OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { PaymentRefused, TakePayment } from '../../../examples/order-fulfilment/contracts/payments.ts'
import { ReleaseStock, ReserveStock, StockRefused } from '../../../examples/order-fulfilment/contracts/stock.ts'
import type { Message } from '../../../src/core/contract/contract.ts'
import { saga } from '../../../src/core/saga/definition.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { decidedByPayment, fulfilment, head, type Order } from './given.ts'

const reserve = { command: (s: Order) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }), compensation: 'none' as const }
const confirm = { command: (s: Order) => ConfirmOrder({ orderId: s.orderId }) }

function placed(orderId: string): Message {
  const data = { orderId, sku: 'lamp', quantity: 1, total: 1 }
  return { ...envelope, name: 'shop.orders.OrderPlaced', type: 'shop.orders.OrderPlaced.v1', data }
}

const envelope = { id: 'm-1', source: '/orders', time: new Date(0), key: null, correlationId: 'c-1', causationId: null, attributes: {} }

test('is data: what can be stored of the graph holds names, kinds, windows and what means "no"', () => {
  expect(JSON.parse(JSON.stringify(decidedByPayment.graph))).toEqual({
    name: 'decided-by-payment',
    version: 1,
    hash: decidedByPayment.graph.hash,
    steps: [
      { name: 'reserve', kind: 'compensatable', timeoutMs: 30_000, attempts: 3, refusedBy: ['shop.stock.StockRefused'], compensated: true },
      { name: 'pay', kind: 'pivot', timeoutMs: 30_000, attempts: 2, refusedBy: ['shop.payments.PaymentRefused'], compensated: false },
      { name: 'confirm', kind: 'retriable', timeoutMs: 30_000, attempts: 2, refusedBy: [], compensated: false },
    ],
    commands: [
      { name: 'shop.stock.ReserveStock', replies: ['shop.stock.StockReserved', 'shop.stock.StockRefused'] },
      { name: 'shop.stock.ReleaseStock', replies: ['shop.stock.StockReleased'] },
      { name: 'shop.payments.TakePayment', replies: ['shop.payments.PaymentTaken', 'shop.payments.PaymentRefused'] },
      { name: 'shop.payments.RefundPayment', replies: ['shop.payments.PaymentRefunded'] },
      { name: 'shop.orders.ConfirmOrder', replies: ['shop.orders.OrderConfirmed'] },
    ],
  })
})

test('sends ten times from the pivot on unless it says otherwise', () => {
  expect(fulfilment.graph.steps.map((step) => step.attempts)).toEqual([3, 1, 10])
})

test('keeps its hash when only windows and attempts change', () => {
  const quick = saga('same', head).step('reserve', { ...reserve, timeout: '1s', attempts: 7 })
  const slow = saga('same', head).step('reserve', reserve)

  expect(quick.graph.hash).toBe(slow.graph.hash)
})

test.each([
  ['a step is added', saga('same', head).step('reserve', reserve).step('more', reserve)],
  ['a step is renamed', saga('same', head).step('book', reserve)],
  ['a step becomes the pivot', saga('same', head).pivot('reserve', confirm)],
  [
    'a step can be undone now',
    saga('same', head).step('reserve', { ...reserve, compensation: (s) => ReleaseStock({ orderId: s.orderId }) }),
  ],
  ['another reply means "no"', saga('same', head).step('reserve', { ...reserve, refusedBy: [StockRefused] })],
])('changes its hash when %s', (_, changed) => {
  expect(changed.graph.hash).not.toBe(saga('same', head).step('reserve', reserve).graph.hash)
})

test('leaves the definition it was called on as it was', () => {
  const first = saga('branching', head).step('reserve', reserve)

  const longer = first.pivot('confirm', confirm)

  expect(first.graph.steps).toHaveLength(1)
  expect(longer.graph.steps).toHaveLength(2)
})

test('reads key and state from the message that starts it', () => {
  expect(fulfilment.keyOf(placed('o-7'))).toBe('o-7')
  expect(fulfilment.stateOf(placed('o-7'))).toEqual({ orderId: 'o-7', sku: 'lamp', quantity: 1, total: 1 })
})

test('refuses to start without a business key', () => {
  expect(() => fulfilment.keyOf(placed(''))).toThrow('its "key" gave an empty text')
})

test.each<[string, () => unknown, string]>([
  ['its name has other letters', () => saga('Order Fulfilment', head), 'must be lower-case letters'],
  ['its version is no whole number', () => saga('bad', { ...head, version: 1.5 }), '"version"'],
  [
    'an event is among its commands',
    () => saga('bad', { ...head, commands: [OrderPlaced] }),
    '"shop.orders.OrderPlaced" under "commands" is an event',
  ],
  ['two steps have one name', () => saga('bad', head).step('reserve', reserve).step('reserve', reserve), 'two steps named "reserve"'],
  ['a step has a name that cannot travel', () => saga('bad', head).step('Step one', reserve), 'step "Step one" must be named'],
  [
    'a timeout is no duration',
    () => saga('bad', head).step('reserve', { ...reserve, timeout: '5 minutes' as '5m' }),
    "expected a duration such as '250ms'",
  ],
  ['a window is not positive', () => saga('bad', head).step('reserve', { ...reserve, timeout: '0ms' }), 'from 1ms'],
  ['it never sends', () => saga('bad', head).step('reserve', { ...reserve, attempts: 0 }), '"attempts"'],
])('refuses a definition when %s', (_, define, message) => {
  expect(define).toThrow(message)
  expect(define).toThrow(
    expect.toSatisfy((error: unknown) => isTrunklineError(error, 'SAGA_INVALID') || isTrunklineError(error, 'OPTION_INVALID')),
  )
})

test('asks how a step before the pivot is undone', () => {
  // @ts-expect-error compensation is missing
  const define = () => saga('bad', head).step('reserve', { command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }) })

  expect(define).toThrow("a step before the pivot says how it is undone: a function, or 'none'")
})

test('refuses a compensation at the pivot and after it', () => {
  // @ts-expect-error the pivot is never compensated
  const atPivot = () => saga('bad', head).pivot('confirm', { ...confirm, compensation: 'none' })
  // @ts-expect-error nor is what follows
  const afterPivot = () => decidedByPayment.step('more', { ...confirm, compensation: 'none' })

  expect(atPivot).toThrow('never compensated')
  expect(afterPivot).toThrow('never compensated')
})

test('refuses a "no" after the pivot', () => {
  // @ts-expect-error a step after the pivot cannot be refused
  const define = () => decidedByPayment.step('more', { ...confirm, refusedBy: [OrderConfirmed] })

  expect(define).toThrow('sent until it succeeds')
})

test('has one pivot', () => {
  // @ts-expect-error a decided saga has no second pivot
  expect(() => decidedByPayment.pivot('again', confirm)).toThrow('second pivot')
})

test('suggests the option that was meant', () => {
  // @ts-expect-error unknown option
  const define = () => saga('bad', head).step('reserve', { ...reserve, timeOut: '1s' })

  expect(define).toThrow('did you mean "timeout"?')
})

test('type-checks what a step is given', () => {
  const wrong = () => [
    // @ts-expect-error the state has no such field
    saga('typed', head).step('reserve', { command: (s) => ReleaseStock({ orderId: s.customer }), compensation: 'none' }),
    // @ts-expect-error PaymentRefused does not answer ReserveStock
    saga('typed', head).step('reserve', { ...reserve, refusedBy: [PaymentRefused] }),
    saga('typed', head).step('pay', {
      command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }),
      compensation: 'none',
      // @ts-expect-error only a refusal has a reason
      onReply: (s, reply) => ({ ...s, sku: reply.data.reason }),
    }),
    saga('typed', head).step('pay', {
      command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }),
      compensation: 'none',
      // @ts-expect-error the state must keep its shape
      onReply: (_, reply) => reply.data,
    }),
    // @ts-expect-error the key is a text
    saga('typed', { ...head, key: (order) => order.data.quantity }),
  ]

  expect(wrong).toBeTypeOf('function')
})

test('gives onReply the data of the reply it got', () => {
  const definition = saga('typed', head).step('pay', {
    command: (s) => TakePayment({ orderId: s.orderId, amount: s.total }),
    compensation: 'none',
    onReply: (s, reply) => (reply.name === 'shop.payments.PaymentRefused' ? { ...s, sku: reply.data.reason } : s),
  })

  expect(definition.graph.steps[0]?.onReply({ sku: '' }, { name: 'shop.payments.PaymentRefused', data: { reason: 'limit' } })).toEqual({
    sku: 'limit',
  })
})
