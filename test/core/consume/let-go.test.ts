import { expect, test } from 'vitest'
import { PostgresPositionStore } from '../../../src/adapters/postgres/position-store.ts'
import { PostgresProcessStore } from '../../../src/adapters/postgres/process-store.ts'
import { LetGo } from '../../../src/core/consume/let-go.ts'
import type { PositionStore } from '../../../src/core/consume/position-store.ts'
import type { Database, Transaction } from '../../../src/core/database/database.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import { openDatabase } from '../../adapters/postgres/open-database.ts'
import { until } from '../../kit/wait.ts'

const place = { group: 'g', topic: 't', partition: 0 }
const processId = '00000000-0000-4000-8000-000000000001'

function lettingGo(database: Database<Transaction>, positions: PositionStore<Transaction>): LetGo<Transaction> {
  return new LetGo({
    positions,
    processes: new PostgresProcessStore(database),
    processId,
    clock: systemClock,
    diagnostics: new Diagnostics<DiagnosticCatalogue>(),
  })
}

test('what was noted on a connection that is dying, and arrives when its process has let go, is refused: nobody waits for it', async () => {
  const { database } = await openDatabase()
  const positions = new PostgresPositionStore(database)
  const { epoch } = await positions.take(place, { offset: 0n, topicId: null })
  const letGo = lettingGo(database, positions)

  letGo.of({ ...place, epoch })
  await letGo.stop()
  const noted = await positions.mark(place, epoch, { to: 5n, by: processId }, false)

  expect(noted).toBe(false)
  expect(await positions.look(place)).toMatchObject({ started: null, nextOffset: 0n })
})

test('a process that lets go late takes back its own note alone: the next owner keeps its epoch and what it has begun', async () => {
  const { database } = await openDatabase()
  const positions = new PostgresPositionStore(database)
  const { epoch } = await positions.take(place, { offset: 0n, topicId: null })
  await positions.mark(place, epoch, { to: 5n, by: processId }, true)
  const next = await positions.take(place, { offset: 0n, topicId: null })
  const letGo = lettingGo(database, positions)

  letGo.of({ ...place, epoch })
  await letGo.stop()
  const taken = await positions.look(place)
  const begun = { to: 3n, by: '00000000-0000-4000-8000-000000000002' }
  const noted = await positions.mark(place, next.epoch, begun, true)
  letGo.of({ ...place, epoch })
  await letGo.stop()

  expect(taken).toMatchObject({ epoch: next.epoch, started: null })
  expect(noted).toBe(true)
  expect(await positions.look(place)).toMatchObject({ epoch: next.epoch, started: begun })
})

test('a partition that comes back at once keeps what is noted of it then, though the database was away', async () => {
  const { database } = await openDatabase()
  const positions = new PostgresPositionStore(database)
  const { epoch } = await positions.take(place, { offset: 0n, topicId: null })
  let asked = 0
  let away = true
  const leave: typeof positions.leave = (...given) => {
    asked++
    return away ? Promise.reject(new TransientError('DATABASE_UNAVAILABLE', 'Away.')) : positions.leave(...given)
  }
  const letGo = lettingGo(database, Object.assign(Object.create(positions), { leave }))
  letGo.of({ ...place, epoch })
  await until('a try', () => asked > 0)

  await letGo.end(place)
  away = false
  await positions.mark(place, epoch, { to: 5n, by: processId }, true)
  await letGo.stop()

  expect(await positions.look(place)).toMatchObject({ started: { to: 5n, by: processId } })
})
