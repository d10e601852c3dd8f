import { expect, test } from 'vitest'
import { PostgresPositionStore } from '../../../src/adapters/postgres/position-store.ts'
import { PostgresProcessStore } from '../../../src/adapters/postgres/process-store.ts'
import { LetGo } from '../../../src/core/consume/let-go.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import { openDatabase } from '../../adapters/postgres/open-database.ts'
import { until } from '../../kit/wait.ts'

const place = { group: 'g', topic: 't', partition: 0 }
const processId = '00000000-0000-4000-8000-000000000001'

test('a partition that comes back at once keeps what is noted of it then, though the database was away', async () => {
  const { database } = await openDatabase()
  const positions = new PostgresPositionStore(database)
  const { epoch } = await positions.take(place, { offset: 0n, topicId: null })
  let asked = 0
  let away = true
  const unmark: typeof positions.unmark = (...given) => {
    asked++
    return away ? Promise.reject(new TransientError('DATABASE_UNAVAILABLE', 'Away.')) : positions.unmark(...given)
  }
  const letGo = new LetGo({
    positions: Object.assign(Object.create(positions), { unmark }),
    processes: new PostgresProcessStore(database),
    processId,
    clock: systemClock,
    diagnostics: new Diagnostics<DiagnosticCatalogue>(),
  })
  letGo.of(place)
  await until('a try', () => asked > 0)

  await letGo.end(place)
  away = false
  await positions.mark(place, epoch, { to: 5n, by: processId }, true)
  await letGo.stop()

  expect(await positions.look(place)).toMatchObject({ started: { to: 5n, by: processId } })
})
