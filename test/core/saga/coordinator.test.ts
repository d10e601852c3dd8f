import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { ConfirmOrder, OrderConfirmed, OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { PaymentRefunded, PaymentTaken } from '../../../examples/order-fulfilment/contracts/payments.ts'
import { ReserveStock, StockReleased, StockReserved } from '../../../examples/order-fulfilment/contracts/stock.ts'
import { PostgresIncidentLog } from '../../../src/adapters/postgres/incident-log.ts'
import { PostgresSagaStore } from '../../../src/adapters/postgres/saga-store.ts'
import { decodePayload } from '../../../src/core/contract/codec.ts'
import { CommandSettled } from '../../../src/core/contract/command-settled.ts'
import { contract, type Message, type Outgoing, typeOf } from '../../../src/core/contract/contract.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { SagaCoordinator } from '../../../src/core/saga/coordinator.ts'
import { type SagaDefinition, saga } from '../../../src/core/saga/definition.ts'
import { SagaTimers, sagaTimerOptions } from '../../../src/core/saga/timers.ts'
import { commandId, instanceId } from '../../../src/core/saga/transition.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { Witness } from '../../kit/wait.ts'
import { fulfilment, head, type Order, order } from './given.ts'
import { openSagaDatabase, type Published, type SagaDatabase } from './saga-database.ts'

const id = instanceId('order-fulfilment', 'o-1')
const { orderId } = order

/** One process that runs these definitions. */
function run(opened: SagaDatabase, ...definitions: readonly SagaDefinition[]) {
  const { database, publisher, diagnostics } = opened
  const incidents = new PostgresIncidentLog<Transaction>({ database, diagnostics, service: 'orders' })
  const store = new PostgresSagaStore<Transaction>({ database })
  const coordinator = new SagaCoordinator<Transaction>({ store, publisher, incidents, diagnostics }, definitions)
  const timers = new SagaTimers<Transaction>(
    { store, publisher, incidents, diagnostics, coordinators: [coordinator] },
    sagaTimerOptions.parse({ idleDelay: '20ms' }),
  )
  return {
    coordinator,
    timers,
    witness: new Witness(diagnostics),
    receive: (message: Message) => publisher.transaction((tx) => coordinator.receive(tx, message)),
    start: (state: Order) => publisher.transaction((tx) => coordinator.startSaga(tx, state, { id: state.orderId })),
    status: async (saga = id) =>
      (await database.outside.query('select status, reason, version, due_at from trunkline.saga_instance where id = $1', [saga])).rows[0],
  }
}

function received(message: Outgoing, attributes: Readonly<Record<string, string>> = {}): Message {
  return {
    name: message.name,
    type: typeOf(message.name, 1),
    id: randomUUID(),
    source: '/test',
    time: new Date(0),
    key: null,
    correlationId: 'the-order',
    causationId: null,
    attributes,
    data: message.data,
  }
}

/** The participant's answer to a command that stands in the outbox. */
function answerTo(command: Published | undefined, message: Outgoing): Message {
  const { sagaid = '', commandid = '' } = command?.envelope ?? {}
  return received(message, { sagaid, commandid })
}

const placed = received(OrderPlaced(order))
const typesOf = (published: readonly Published[]) => published.map(({ envelope }) => envelope['type'])

test("reads its start, the replies of all its commands and the guard's own answer", async () => {
  const { coordinator } = run(await openSagaDatabase(), fulfilment)

  expect(coordinator.groupOf('orders')).toBe('orders.order-fulfilment')
  expect(coordinator.contracts.map(({ definition }) => definition.name).sort()).toEqual([
    'shop.orders.OrderConfirmed',
    'shop.orders.OrderPlaced',
    'shop.payments.PaymentRefunded',
    'shop.payments.PaymentRefused',
    'shop.payments.PaymentTaken',
    'shop.stock.StockRefused',
    'shop.stock.StockReleased',
    'shop.stock.StockReserved',
    'trunkline.CommandSettled',
  ])
})

test('starts on its message and publishes the first command in the same transaction', async () => {
  const opened = await openSagaDatabase()
  const { receive } = run(opened, fulfilment)

  await receive(placed)

  const [command] = await opened.published()
  expect(command).toMatchObject({
    topic: 'stock.commands',
    key: 'o-1',
    envelope: {
      type: 'shop.stock.ReserveStock.v1',
      sagaid: id,
      sagastep: 'reserve',
      commandid: commandId(id, 'reserve', 'action'),
      correlationid: 'the-order',
      causationid: placed.id,
    },
  })
  expect(command?.envelope['actionid']).toBeUndefined()
  expect(decodePayload(ReserveStock.definition, command?.value ?? Buffer.of())).toEqual({ orderId, sku: 'lamp', quantity: 2 })
})

test('starts once, however often its message comes', async () => {
  const opened = await openSagaDatabase()
  const { receive, start, witness } = run(opened, fulfilment)

  const outcomes = await Promise.all([start(order), start(order), start(order)])
  await receive(placed)

  expect(outcomes.filter(Boolean)).toHaveLength(1)
  expect(await opened.published()).toHaveLength(1)
  expect(witness.count('saga.ignored', ({ reason }) => reason === 'started before')).toBe(3)
})

test('goes from reply to reply to its end', async () => {
  const opened = await openSagaDatabase()
  const { receive, status, witness } = run(opened, fulfilment)
  await receive(placed)
  await receive(answerTo((await opened.published())[0], StockReserved({ orderId })))
  await receive(answerTo((await opened.published())[1], PaymentTaken({ orderId })))
  await receive(answerTo((await opened.published())[2], OrderConfirmed({ orderId })))

  expect(typesOf(await opened.published())).toEqual([
    'shop.stock.ReserveStock.v1',
    'shop.payments.TakePayment.v1',
    'shop.orders.ConfirmOrder.v1',
  ])
  expect(await status()).toMatchObject({ status: 'completed', version: 4, due_at: null })
  expect(witness.all('saga.transition').map(({ from, to }) => `${from} ${to}`)).toEqual([
    'new running',
    'running running',
    'running running',
    'running completed',
  ])
})

test('applies a reply once, even when two copies are handled at the same time', async () => {
  const opened = await openSagaDatabase()
  const { receive, witness } = run(opened, fulfilment)
  await receive(placed)
  const [command] = await opened.published()

  await Promise.all([1, 2, 3, 4].map(() => receive(answerTo(command, StockReserved({ orderId })))))

  expect(typesOf(await opened.published())).toEqual(['shop.stock.ReserveStock.v1', 'shop.payments.TakePayment.v1'])
  expect(witness.count('saga.ignored', ({ reason }) => reason === 'duplicate')).toBe(3)
})

test('writes down what it ignored', async () => {
  const opened = await openSagaDatabase()
  const { receive } = run(opened, fulfilment)
  await receive(placed)
  await receive(received(StockReserved({ orderId }), { sagaid: id, commandid: randomUUID() }))

  const { rows } = await opened.database.outside.query(
    'select seq, input, effects from trunkline.saga_history where saga_id = $1 order by seq',
    [id],
  )

  expect(rows).toMatchObject([
    { seq: 1, input: { kind: 'started', messageId: placed.id } },
    { seq: 2, input: { kind: 'reply', name: 'shop.stock.StockReserved' }, effects: [{ kind: 'ignored', reason: 'unknown' }] },
  ])
})

test('counts and skips a reply that is not for one of its instances', async () => {
  const opened = await openSagaDatabase()
  const { receive, witness } = run(opened, fulfilment)

  await receive(received(StockReserved({ orderId }), { sagaid: randomUUID(), commandid: randomUUID() }))
  await receive(received(StockReserved({ orderId }), { sagaid: "' or true", commandid: 'x' }))
  await receive(received(StockReserved({ orderId })))

  expect(witness.all('saga.ignored').map(({ reason }) => reason)).toEqual(['no instance', 'no saga', 'no saga'])
  // What stands there instead of an id is a stranger's text.
  expect(witness.all('saga.ignored').map(({ id: told }) => told)).toEqual([expect.any(String), '', ''])
})

test('refunds a payment that timed out and yet went through', async () => {
  const opened = await openSagaDatabase()
  const first = run(opened, fulfilment)
  await first.receive(placed)
  await first.receive(answerTo((await opened.published())[0], StockReserved({ orderId })))
  const later = run(opened.later(31), fulfilment)
  expect(await first.timers.fireDue()).toBe(0)

  await later.timers.fireDue()
  const [, payment, refund] = await opened.published()
  await first.receive(answerTo(payment, PaymentTaken({ orderId })))
  await first.receive(answerTo(refund, PaymentRefunded({ orderId })))
  await first.receive(answerTo((await opened.published())[3], StockReleased({ orderId })))

  expect(refund?.envelope).toMatchObject({
    type: 'shop.payments.RefundPayment.v1',
    sagastep: 'pay',
    actionid: payment?.envelope['commandid'],
    refusedby: 'shop.payments.PaymentRefused',
    correlationid: 'the-order',
  })
  expect(refund?.key).toBe(payment?.key)
  expect(refund?.topic).toBe(payment?.topic)
  expect(first.witness.count('saga.ignored', ({ reason }) => reason === 'late')).toBe(1)
  expect(await first.status()).toMatchObject({ status: 'compensated', reason: '"pay" got no reply to 1 attempt' })
})

test('sends a command again under the same command id and a fresh message id', async () => {
  const opened = await openSagaDatabase()
  await run(opened, fulfilment).receive(placed)

  await run(opened.later(31), fulfilment).timers.fireDue()

  const [first, second] = await opened.published()
  expect(second?.envelope['commandid']).toBe(first?.envelope['commandid'])
  expect(second?.envelope['id']).not.toBe(first?.envelope['id'])
  expect(second?.value).toEqual(first?.value)
})

test('a reply and the timer at the same moment: one of them decides', async () => {
  const opened = await openSagaDatabase()
  const first = run(opened, fulfilment)
  for (let turn = 0; turn < 10; turn++) await first.start({ ...order, orderId: `o-${turn}` })
  const commands = await opened.published()
  const later = run(opened.later(31), fulfilment)

  await Promise.all([later.timers.fireDue(), ...commands.map((command) => first.receive(answerTo(command, StockReserved({ orderId }))))])
  await later.timers.fireDue()

  const payments = (await opened.published()).filter(({ envelope }) => envelope['type'] === 'shop.payments.TakePayment.v1')
  expect(payments).toHaveLength(10)
})

test('fires timers by itself until it is stopped', async () => {
  const quick = saga('order-fulfilment', head)
    .step('reserve', {
      command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }),
      compensation: 'none',
      timeout: '1ms',
      attempts: 1,
    })
    .pivot('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }) })
  const opened = await openSagaDatabase()
  const { start, timers, witness, status } = run(opened, quick)
  await timers.start()
  await start(order)

  await witness.saw('saga.transition', ({ to }) => to === 'compensated')
  await timers.stop()

  expect(timers.ready).toBe(false)
  expect(await status()).toMatchObject({ status: 'compensated' })
})

test('a timer that cannot be applied does not stop the others, and fires again later', async () => {
  let broken = false
  const definition = saga('order-fulfilment', head).step('reserve', {
    command: (s) => {
      if (broken && s.orderId === 'bad') throw new Error('a bug')
      return ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 })
    },
    compensation: 'none',
  })
  const opened = await openSagaDatabase()
  const { start } = run(opened, definition)
  await start({ ...order, orderId: 'bad' })
  await start({ ...order, orderId: 'good' })
  const bad = instanceId('order-fulfilment', 'bad')
  broken = true
  const due = run(opened.later(31), definition)

  await due.timers.fireDue()
  const afterwards = await opened.published()
  await opened.database.outside.query("update trunkline.saga_timer set due_at = '-infinity'")
  await opened.database.outside.query("update trunkline.saga_instance set due_at = '-infinity' where business_key = 'bad'")
  await due.timers.fireDue()
  broken = false
  await run(opened.later(152), definition).timers.fireDue()

  expect(due.witness.all('saga.timer_failed')).toMatchObject([
    { id: bad, reason: 'SAGA_STEP_FAILED' },
    { id: bad, reason: 'SAGA_STEP_FAILED' },
  ])
  const { rows: incidents } = await opened.database.outside.query('select kind, subject, message, details::text from trunkline.incident')
  expect(incidents).toMatchObject([{ kind: 'saga_timer_failed', subject: `order-fulfilment ${bad}` }])
  // The text of a user's error may quote the state.
  expect(JSON.stringify([incidents, due.witness.all('incident.recorded')])).not.toContain('a bug')
  expect(due.witness.count('incident.recorded')).toBe(1)
  expect(afterwards.slice(2).map(({ key }) => key)).toEqual(['good'])
  expect((await opened.published()).slice(3).map(({ key }) => key)).toContain('bad')
})

test('keeps the message out of its hands when the instance needs a definition that is not registered', async () => {
  const opened = await openSagaDatabase()
  await run(opened, fulfilment).receive(placed)
  const [command] = await opened.published()
  const changed = saga('order-fulfilment', head).step('other', {
    command: (s) => ConfirmOrder({ orderId: s.orderId }),
    compensation: 'none',
  })
  const next = saga('order-fulfilment', { ...head, version: 2 }).step('other', {
    command: (s) => ConfirmOrder({ orderId: s.orderId }),
    compensation: 'none',
  })
  const reply = answerTo(command, StockReserved({ orderId }))

  for (const definition of [changed, next]) {
    await expect(run(opened, definition).receive(reply)).rejects.toSatisfy((error: unknown) =>
      isTrunklineError(error, 'SAGA_DEFINITION_MISSING'),
    )
  }
  await run(opened, fulfilment, next).receive(reply)

  expect(typesOf(await opened.published())).toEqual(['shop.stock.ReserveStock.v1', 'shop.payments.TakePayment.v1'])
})

test('starts new instances with the highest version', async () => {
  const opened = await openSagaDatabase()
  const next = saga('order-fulfilment', { ...head, version: 2 }).step('confirm', {
    command: (s) => ConfirmOrder({ orderId: s.orderId }),
    compensation: 'none',
  })

  await run(opened, fulfilment, next).receive(placed)

  expect(typesOf(await opened.published())).toEqual(['shop.orders.ConfirmOrder.v1'])
})

test('changes nothing when a function of the definition throws on a reply', async () => {
  const definition = saga('order-fulfilment', head)
    .step('reserve', {
      command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: 1 }),
      compensation: 'none',
      onReply: () => {
        throw new Error('a bug')
      },
    })
    .pivot('confirm', { command: (s) => ConfirmOrder({ orderId: s.orderId }) })
  const opened = await openSagaDatabase()
  const { receive, start, status } = run(opened, definition)
  await start(order)
  const before = await status()

  await expect(receive(answerTo((await opened.published())[0], StockReserved({ orderId })))).rejects.toThrow('its onReply threw: a bug')

  expect(await status()).toEqual(before)
})

test('refuses a command whose contract does not carry its replies', async () => {
  const { definition } = ReserveStock
  const { replyContracts: _, ...bare } = definition
  const Bare = contract<{ kind: 'command'; name: 'shop.stock.ReserveStock'; input: Order; data: Order; reply: typeof ReserveStock.reply }>(
    bare,
  )
  const lame = saga('lame', { ...head, commands: [Bare] }).step('reserve', { command: (s) => Bare(s), compensation: 'none' })
  const opened = await openSagaDatabase()

  expect(() => run(opened, lame)).toThrow('does not carry its replies shop.stock.StockReserved, shop.stock.StockRefused')
})

test('tells people once of a saga that is stuck', async () => {
  const opened = await openSagaDatabase()
  const { receive, status } = run(opened, fulfilment)
  await receive(placed)

  // Neither the command nor its compensation is ever answered.
  for (let hour = 1; hour <= 20; hour++) await run(opened.later(3_600 * hour), fulfilment).timers.fireDue()

  expect(await status()).toMatchObject({ status: 'stuck' })
  const { rows } = await opened.database.outside.query('select kind, message from trunkline.incident')
  expect(rows).toEqual([{ kind: 'saga_stuck', message: expect.stringContaining('A late reply lets it go on') }])
})

test("takes the guard's own answer for the end of a compensation", async () => {
  const opened = await openSagaDatabase()
  const { receive, status } = run(opened, fulfilment)
  await receive(placed)
  const later = run(opened.later(3_600), fulfilment)
  await later.timers.fireDue()
  for (let attempt = 3; attempt <= 4; attempt++) await run(opened.later(3_600 * attempt), fulfilment).timers.fireDue()

  await receive(answerTo((await opened.published()).at(-1), CommandSettled({ outcome: 'nothing to compensate' })))

  expect(typesOf(await opened.published()).at(-1)).toBe('shop.stock.ReleaseStock.v1')
  expect(await status()).toMatchObject({ status: 'compensated' })
})
