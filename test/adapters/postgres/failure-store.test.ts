import { PostgresFailureStore } from '../../../src/adapters/postgres/failure-store.ts'
import { PostgresParkingStore } from '../../../src/adapters/postgres/parking-store.ts'
import { PostgresRetryStore } from '../../../src/adapters/postgres/retry-store.ts'
import { failureStoreConformance } from '../../conformance/failure-store.ts'
import { openDatabase } from './open-database.ts'

failureStoreConformance('postgres', async () => {
  const { database } = await openDatabase({ connectTimeoutMs: 10_000 })
  return {
    database,
    parking: new PostgresParkingStore(database),
    retries: new PostgresRetryStore(database),
    failures: new PostgresFailureStore(database),
  }
})
