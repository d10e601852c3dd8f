import { expect, test } from 'vitest'
import { PostgresAuditLog } from '../../../src/adapters/postgres/audit-log.ts'
import { PostgresFailureStore } from '../../../src/adapters/postgres/failure-store.ts'
import { PostgresParkingStore } from '../../../src/adapters/postgres/parking-store.ts'
import { subjectOf } from '../../../src/core/failures/act-by-hand.ts'
import { settleByHand } from '../../../src/core/failures/settle-by-hand.ts'
import { ConflictError } from '../../../src/foundation/errors.ts'
import { openDatabase } from '../../adapters/postgres/open-database.ts'
import { parkedMessage } from '../../conformance/parking-store.ts'

test('a key that a worker has just then is asked for again, and each message is discarded once, with its reason', async () => {
  const { database } = await openDatabase()
  const messages = [parkedMessage('a', { state: 'dead' }), parkedMessage('b', { state: 'dead' })]
  await database.transaction((tx) => new PostgresParkingStore(database).park(tx, messages))
  const selection = messages.map(({ group, inboxId }) => ({ group, id: inboxId }))
  const failures = new PostgresFailureStore(database)
  let conflicts = 0
  const contended: typeof failures = Object.assign(Object.create(failures), {
    discard: (...given: Parameters<typeof failures.discard>) =>
      conflicts++ % 3 < 2
        ? Promise.reject(new ConflictError('DATABASE_CONFLICT', 'Another transaction was first.'))
        : failures.discard(...given),
  })
  const audit = new PostgresAuditLog(database)

  const done = await settleByHand(
    { database, failures: contended, audit },
    selection,
    { act: 'discard', actor: 'me', reason: 'a test order' },
    new AbortController().signal,
  )

  const acts = await Promise.all(selection.map((each) => audit.of(subjectOf(each), 10)))
  expect(done).toBe(2)
  expect(acts.map((each) => each.map(({ act, reason }) => [act, reason]))).toEqual(Array(2).fill([['failure discard', 'a test order']]))
})
