import { expect, test } from 'vitest'
import type { Queryable } from '../../../src/core/database/database.ts'
import { type OutboxGauge, OutboxRoom } from '../../../src/core/outbox/outbox-room.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { TransientError } from '../../../src/foundation/errors.ts'

const limits = { rowsMax: 1_000, bytesMax: 1_048_576 }
const lost = new TransientError('DATABASE_UNAVAILABLE', 'The connection broke.')

function transaction(): Queryable {
  return { query: async () => ({ rows: [], rowCount: 0 }) }
}

/** A database whose connection breaks under the first transaction that measures. */
function breakingUnder(broken: Queryable): OutboxGauge {
  return {
    measure: async (_, where) => {
      if (where === broken) throw lost
      return { rows: 1, bytes: 1 }
    },
  }
}

test('a transaction that was lost by measuring hears why, and another that waited measures in its own', async () => {
  const [first, second] = [transaction(), transaction()]
  const room = new OutboxRoom({ gauge: breakingUnder(first), clock: systemClock }, limits)

  const checks = await Promise.allSettled([room.check(first), room.check(second)])

  expect(checks).toEqual([
    { status: 'rejected', reason: lost },
    { status: 'fulfilled', value: undefined },
  ])
  expect(room.known).toBe(true)
})

test('a measure that fails outside of any transaction is the failure of nobody', async () => {
  let fails = false
  const gauge: OutboxGauge = {
    measure: async () => {
      if (fails) throw lost
      return { rows: 1_000, bytes: 1 }
    },
  }
  let now = 0
  const room = new OutboxRoom({ gauge, clock: { ...systemClock, monotonic: () => now } }, limits)

  await expect(room.check(transaction())).rejects.toMatchObject({ code: 'OUTBOX_FULL' })
  fails = true
  now = 10_000
  expect(() => room.check(transaction())).toThrow('Nothing is published')
  await new Promise(setImmediate)

  expect(room.check(transaction())).toBeUndefined()
})
