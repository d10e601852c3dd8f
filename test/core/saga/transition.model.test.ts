import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ConfirmOrder, OrderConfirmed } from '../../../examples/order-fulfilment/contracts/orders.ts'
import {
  PaymentRefunded,
  PaymentRefused,
  PaymentTaken,
  RefundPayment,
  TakePayment,
} from '../../../examples/order-fulfilment/contracts/payments.ts'
import { ReleaseStock, ReserveStock, StockRefused } from '../../../examples/order-fulfilment/contracts/stock.ts'
import { CommandSettled } from '../../../src/core/contract/command-settled.ts'
import { type SagaDefinition, saga } from '../../../src/core/saga/definition.ts'
import type { GraphStep } from '../../../src/core/saga/graph.ts'
import { newInstance, type SagaEffect, type SagaInput, type SagaInstance, transition } from '../../../src/core/saga/transition.ts'
import { head, type Order, order } from './given.ts'

type Send = Extract<SagaEffect, { kind: 'send' }>

interface Shape {
  readonly before: readonly ('undone' | 'none')[]
  readonly pivot: boolean
  readonly afterPivot: number
  readonly attempts: number
}

/** What happens next: an answer to some command that was sent (any, also an old one), or the timer. */
type Happening =
  | { readonly kind: 'answer'; readonly which: number; readonly how: 'yes' | 'no' | 'settled' | 'foreign' }
  | { readonly kind: 'timer' }

const shape: fc.Arbitrary<Shape> = fc
  .record({
    before: fc.array(fc.constantFrom('undone' as const, 'none' as const), { maxLength: 4 }),
    pivot: fc.boolean(),
    afterPivot: fc.nat(2),
    attempts: fc.integer({ min: 1, max: 3 }),
  })
  .filter((wanted) => wanted.pivot || wanted.before.length > 0)

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      which: fc.nat(30),
      how: fc.constantFrom('yes', 'yes', 'yes', 'no', 'settled', 'foreign'),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'timer' as const }) },
)

const take = (s: Order) => TakePayment({ orderId: s.orderId, amount: s.total })
const refund = (s: Order) => RefundPayment({ orderId: s.orderId })

function build({ before, pivot, afterPivot, attempts }: Shape): SagaDefinition<Order> {
  let definition: SagaDefinition<Order> | undefined
  let undecided = saga('model', head).step('first', { command: take, compensation: refund, refusedBy: [PaymentRefused], attempts })
  definition = undecided
  before.forEach((undo, index) => {
    undecided = undecided.step(`b${index}`, {
      command: take,
      compensation: undo === 'none' ? 'none' : refund,
      refusedBy: [PaymentRefused],
      attempts,
    })
    definition = undecided
  })
  if (!pivot) return definition
  let decided = undecided.pivot('pivot', { command: take, refusedBy: [PaymentRefused], attempts })
  for (let index = 0; index < afterPivot; index++) decided = decided.step(`a${index}`, { command: take, attempts })
  return decided
}

function answerTo(sent: Send, how: 'yes' | 'no' | 'settled' | 'foreign'): SagaInput {
  const { orderId } = order
  const message = {
    yes: sent.direction === 'action' ? PaymentTaken({ orderId }) : PaymentRefunded({ orderId }),
    no: PaymentRefused({ orderId, reason: 'limit' }),
    settled: CommandSettled({ outcome: sent.direction === 'action' ? 'cancelled' : 'nothing to compensate' }),
    foreign: OrderConfirmed({ orderId }),
  }[how]
  return { kind: 'reply', commandId: sent.commandId, name: message.name, data: message.data }
}

/** Runs a saga and remembers everything it sent; checks after every input what must always hold. */
class Run {
  readonly sent: Send[] = []
  instance: SagaInstance
  readonly #definition: SagaDefinition<Order>

  constructor(definition: SagaDefinition<Order>) {
    this.#definition = definition
    this.instance = newInstance(definition.graph, 'o-1', order)
    this.feed({ kind: 'started' })
  }

  feed(input: SagaInput): void {
    const before = this.instance
    const { instance, effects } = transition(this.#definition.graph, before, input)
    const sends = effects.filter((effect): effect is Send => effect.kind === 'send')
    if (effects.some((effect) => effect.kind === 'ignored')) assert.equal(instance, before)
    if (before.status === 'completed' || before.status === 'compensated') assert.deepEqual(sends, [])
    for (const send of sends) this.#check(send)
    this.sent.push(...sends)
    this.instance = instance
    this.#checkPending()
  }

  happen(next: Happening): void {
    const sent = next.kind === 'answer' ? this.sent[next.which % this.sent.length] : undefined
    this.feed(next.kind === 'answer' && sent !== undefined ? answerTo(sent, next.how) : { kind: 'timer' })
  }

  #check(send: Send): void {
    const kind = this.kindOf(send.step)
    // I3: no action once it compensates. I4: the pivot and what follows is never undone.
    if (send.direction === 'action') assert.ok(this.sent.every((earlier) => earlier.direction === 'action'))
    else assert.equal(kind, 'compensatable')
    const earlier = this.sent.filter((other) => other.commandId === send.commandId)
    // I7: one command id is one (step, direction), its attempts are counted and say the same.
    assert.ok(earlier.every((other) => other.step === send.step && other.direction === send.direction))
    assert.equal(send.attempt, earlier.length + 1)
    for (const other of earlier) assert.deepEqual(other.message, send.message)
  }

  /** I10: what has not ended waits for exactly one command; compensations are therefore sent one at a time. */
  #checkPending(): void {
    const pending = this.instance.steps.filter((step) => (step.compensation ?? step).status === 'pending')
    const { status } = this.instance
    if (status === 'running' || status === 'compensating') assert.equal(pending.length, 1)
    if (status === 'completed' || status === 'compensated') assert.equal(pending.length, 0)
    if (status === 'stuck') assert.notEqual(this.instance.reason, null)
  }

  kindOf(step: string): GraphStep['kind'] | undefined {
    return this.#definition.graph.steps.find((known) => known.name === step)?.kind
  }

  /** I1 and I2, at the end. */
  checkEnd(): void {
    const { graph } = this.#definition
    const { status, steps } = this.instance
    if (status === 'completed') {
      assert.deepEqual(
        steps.map((step) => step.status),
        graph.steps.map(() => 'done'),
      )
      assert.ok(steps.every((step) => step.compensation === null))
    }
    if (status !== 'compensated') return
    const mayHaveEffects = steps.filter(
      (step) => step.status !== 'failed' && graph.steps.find(({ name }) => name === step.name)?.compensated,
    )
    const undone = [...new Set(this.sent.filter((send) => send.direction === 'compensation').map((send) => send.step))]
    assert.deepEqual(undone, mayHaveEffects.map((step) => step.name).reverse())
    assert.ok(mayHaveEffects.every((step) => step.compensation?.status === 'done'))
    assert.ok(steps.every((step) => this.kindOf(step.name) === 'compensatable' || step.status === 'failed'))
  }
}

test('undoes exactly what may have happened, in reverse order, whatever is answered, repeated, late or silent', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(shape, fc.array(happening, { maxLength: 60 }), (wanted, happenings) => {
      const run = new Run(build(wanted))
      for (const next of happenings) run.happen(next)
      run.checkEnd()
      seen.add(run.instance.status)
    }),
    { numRuns: 2_000 },
  )
  // A run that never reaches an end proves nothing about it.
  expect([...seen].sort()).toEqual(['compensated', 'compensating', 'completed', 'running', 'stuck'])
})

test('ends when whoever is asked answers in the end', () => {
  fc.assert(
    fc.property(shape, fc.array(happening, { maxLength: 40 }), (wanted, happenings) => {
      const run = new Run(build(wanted))
      for (const next of happenings) run.happen(next)
      for (let turn = 0; turn < 20 && !hasEnded(run); turn++) {
        const last = run.sent.at(-1)
        if (last !== undefined) run.feed(answerTo(last, 'yes'))
      }

      expect(hasEnded(run)).toBe(true)
      run.checkEnd()
    }),
    { numRuns: 1_000 },
  )
})

/** A "no" where none is possible stays stuck until a person acts. */
function hasEnded({ instance }: Run): boolean {
  const refused = instance.steps.some((step) => step.compensation?.status === 'failed' || step.status === 'failed')
  return instance.status === 'completed' || instance.status === 'compensated' || (instance.status === 'stuck' && refused)
}

test('does not depend on the commands of other steps', () => {
  const definition = saga('two-domains', head)
    .step('reserve', {
      command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }),
      compensation: (s) => ReleaseStock({ orderId: s.orderId }),
      refusedBy: [StockRefused],
    })
    .pivot('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }) })
  const run = new Run(definition)
  const first = run.sent[0]
  const foreign = PaymentRefused({ orderId: 'o-1', reason: 'limit' })

  run.feed({ kind: 'reply', commandId: first?.commandId ?? '', name: foreign.name, data: foreign.data })

  expect(run.instance.steps).toMatchObject([{ name: 'reserve', status: 'pending' }])
})
