import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import {
  PaymentRefunded,
  PaymentRefused,
  PaymentTaken,
  RefundPayment,
  TakePayment,
} from '../../../examples/order-fulfilment/contracts/payments.ts'
import { PostgresParticipantStore } from '../../../src/adapters/postgres/participant-store.ts'
import { CommandSettled } from '../../../src/core/contract/command-settled.ts'
import type { ContractDefinition, Message, Outgoing } from '../../../src/core/contract/contract.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import type { Publication } from '../../../src/core/outbox/publication.ts'
import { guardCommand } from '../../../src/core/saga/participant-guard.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { until } from '../../kit/wait.ts'
import { openSagaDatabase } from './saga-database.ts'

const sagaid = randomUUID()
const taken = PaymentTaken({ orderId: 'o-1' })
const refunded = PaymentRefunded({ orderId: 'o-1' })
const refused = PaymentRefused({ orderId: 'o-1', reason: 'limit' })

type Effect = (tx: Transaction) => Promise<Outgoing>

/** A participant with one account, whose handlers book without looking: only the guard keeps them honest. */
async function openPayments() {
  const { database } = await openSagaDatabase()
  await database.outside.query('create table account (balance bigint not null)')
  await database.outside.query('insert into account values (0)')
  const participants = new PostgresParticipantStore<Transaction>({ database })

  const handle = (definition: ContractDefinition, attributes: Record<string, string>, effect: Effect): Promise<Publication> =>
    database.transaction((tx) => {
      const answer = async (): Promise<Publication> => ({ message: await effect(tx), key: sagaid, attributes: { sagaid, ...attributes } })
      return guardCommand({ participants }, tx, command(definition, attributes), definition, answer)
    })
  return {
    take: (commandid: string, effect: Effect = book(1, taken)) => handle(TakePayment.definition, { commandid }, effect),
    refund: (commandid: string, actionid: string, effect: Effect = book(-1, refunded)) =>
      handle(RefundPayment.definition, { commandid, actionid, refusedby: refused.name }, effect),
    someoneWaits: async () =>
      (await database.outside.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))
        .rowCount > 0,
    balance: async () => Number((await database.outside.query('select balance from account')).rows[0]?.['balance']),
  }
}

function command(definition: ContractDefinition, attributes: Record<string, string>): Message {
  return {
    name: definition.name,
    type: `${definition.name}.v1`,
    id: randomUUID(),
    source: '/orders',
    time: new Date(0),
    key: 'o-1',
    correlationId: 'c-1',
    causationId: null,
    attributes: { sagaid, ...attributes },
    data: { orderId: 'o-1' },
  }
}

function book(amount: number, reply: Outgoing): Effect {
  return async (tx) => {
    await tx.query('update account set balance = balance + $1', [amount])
    return reply
  }
}

function answered(publication: Publication): unknown {
  return { name: publication.message.name, data: publication.message.data }
}

const settled = (outcome: 'nothing to compensate' | 'cancelled') => ({ name: CommandSettled.definition.name, data: { outcome } })

test('runs a command once and answers its repetition with the first reply', async () => {
  const payments = await openPayments()
  const commandid = randomUUID()

  const first = await payments.take(commandid)
  const again = await payments.take(commandid, book(1, refused))

  expect(answered(first)).toEqual({ name: taken.name, data: taken.data })
  expect(answered(again)).toEqual(answered(first))
  expect(again).toMatchObject({ topic: 'payments.replies', key: sagaid, attributes: { sagaid, commandid } })
  expect(await payments.balance()).toBe(1)
})

test('undoes an action that was applied, once', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]
  await payments.take(action)

  const first = await payments.refund(compensation, action)
  const again = await payments.refund(compensation, action)

  expect(answered(first)).toEqual({ name: refunded.name, data: refunded.data })
  expect(answered(again)).toEqual(answered(first))
  expect(await payments.balance()).toBe(0)
})

test('undoes an action once when two copies of its compensation are handled at the same time', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]
  await payments.take(action)
  const running = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const first = payments.refund(compensation, action, async (tx) => {
    running.resolve()
    await go.promise
    return book(-1, refunded)(tx)
  })
  await running.promise
  let ranTwice = false
  const second = payments.refund(compensation, action, async (tx) => {
    ranTwice = true
    return book(-1, refunded)(tx)
  })
  await until('the second copy to run or to wait', async () => ranTwice || (await payments.someoneWaits()))
  go.resolve()

  const replies = await Promise.all([first, second])

  expect(replies.map(answered)).toEqual([1, 2].map(() => ({ name: refunded.name, data: refunded.data })))
  expect(await payments.balance()).toBe(0)
})

test('answers a compensation whose action never came without running it', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]

  const first = await payments.refund(compensation, action)
  const again = await payments.refund(compensation, action)

  expect(answered(first)).toEqual(settled('nothing to compensate'))
  expect(answered(again)).toEqual(settled('nothing to compensate'))
  expect(first).toMatchObject({ topic: 'payments.replies', key: sagaid, attributes: { sagaid, commandid: compensation } })
  expect(await payments.balance()).toBe(0)
})

test('refuses an action that arrives after its compensation', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]
  await payments.refund(compensation, action)

  const late = await payments.take(action)

  expect(answered(late)).toEqual(settled('cancelled'))
  expect(await payments.balance()).toBe(0)
})

test('answers an action that is repeated after it was undone with its first reply, and does not run it', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]
  await payments.take(action)
  await payments.refund(compensation, action)

  const again = await payments.take(action)

  expect(answered(again)).toEqual({ name: taken.name, data: taken.data })
  expect(await payments.balance()).toBe(0)
})

test('does not undo an action that said "no"', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]
  await payments.take(action, book(0, refused))

  const reply = await payments.refund(compensation, action)

  expect(answered(reply)).toEqual(settled('nothing to compensate'))
  expect(await payments.balance()).toBe(0)
})

test('keeps nothing when the handler fails, so that the next attempt runs', async () => {
  const payments = await openPayments()
  const commandid = randomUUID()
  const failing = payments.take(commandid, async (tx) => {
    await tx.query('update account set balance = balance + 100')
    throw new Error('bank unreachable')
  })
  await expect(failing).rejects.toThrow('bank unreachable')

  const next = await payments.take(commandid)

  expect(answered(next)).toEqual({ name: taken.name, data: taken.data })
  expect(await payments.balance()).toBe(1)
})

test('lets an action and its compensation that arrive at once take turns, in either order', async () => {
  const payments = await openPayments()

  for (let turn = 0; turn < 20; turn++) {
    const [action, compensation] = [randomUUID(), randomUUID()]
    const both = [() => payments.take(action), () => payments.refund(compensation, action)]
    if (turn % 2 === 1) both.reverse()

    const replies = (await Promise.all(both.map((run) => run()))).map((reply) => reply.message.name)

    const ranBoth = replies.includes(taken.name) && replies.includes(refunded.name)
    const ranNeither = replies.every((name) => name === CommandSettled.definition.name)
    expect(ranBoth || ranNeither).toBe(true)
    expect(await payments.balance()).toBe(0)
  }
})

test('lets a compensation wait for the action that is under way, then undo it', async () => {
  const payments = await openPayments()
  const [action, compensation] = [randomUUID(), randomUUID()]
  const running = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const taking = payments.take(action, async (tx) => {
    running.resolve()
    await go.promise
    return book(1, taken)(tx)
  })
  await running.promise
  const refunding = payments.refund(compensation, action)
  go.resolve()

  await taking

  expect(answered(await refunding)).toEqual({ name: refunded.name, data: refunded.data })
  expect(await payments.balance()).toBe(0)
})

test.each([
  ['commandid', { commandid: 'x' }],
  ['sagaid', { commandid: randomUUID(), sagaid: "'; drop table account" }],
  ['actionid', { commandid: randomUUID(), actionid: '' }],
])('refuses a command whose %s is no UUID', async (_, attributes) => {
  const { database } = await openSagaDatabase()
  const participants = new PostgresParticipantStore<Transaction>({ database })
  const { definition } = TakePayment

  const guarded = database.transaction((tx) =>
    guardCommand({ participants }, tx, command(definition, attributes), definition, async () => ({ message: taken })),
  )

  await expect(guarded).rejects.toSatisfy((error: unknown) => isTrunklineError(error, 'COMMAND_ID_INVALID'))
})
