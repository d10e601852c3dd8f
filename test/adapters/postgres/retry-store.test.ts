import { PostgresParkingStore } from '../../../src/adapters/postgres/parking-store.ts'
import { PostgresRetryStore } from '../../../src/adapters/postgres/retry-store.ts'
import { retryStoreConformance } from '../../conformance/retry-store.ts'
import { openDatabase } from './open-database.ts'

retryStoreConformance('postgres', async () => {
  const { database } = await openDatabase({ connectTimeoutMs: 10_000 })
  return {
    database,
    parking: new PostgresParkingStore(database),
    retries: new PostgresRetryStore(database),
    endLeases: async () => {
      await database.outside.query("update trunkline.parked_key set lease_until = '-infinity'")
    },
    alive: async (id) => {
      await database.outside.query(
        `insert into trunkline.process (id, service, host, pid, groups, paused, expires_at)
         values ($1, 'g', 'h', 1, '{g}', '{}', trunkline.now() + interval '1 hour')`,
        [id],
      )
    },
    historyOf: async ({ inboxId }) => {
      const { rows } = await database.outside.query(
        'select jsonb_array_length(timeline) as length from trunkline.parked_message where id = $1',
        [inboxId],
      )
      return Number(rows[0]?.['length'])
    },
  }
})
