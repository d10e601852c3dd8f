import { PostgresSagaStore } from '../../../src/adapters/postgres/saga-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { type SagaStoreSubject, sagaStoreConformance } from '../../conformance/saga-store.ts'
import { openSagaDatabase, type SagaDatabase } from '../../core/saga/saga-database.ts'

sagaStoreConformance('postgres', async () => subjectOf(await openSagaDatabase()))

function subjectOf(opened: SagaDatabase): SagaStoreSubject<Transaction> {
  const { database } = opened
  return {
    database,
    store: new PostgresSagaStore({ database }),
    later: (seconds) => subjectOf(opened.later(seconds)),
    historyOf: async (id) => {
      const { rows } = await database.outside.query(
        'select seq, status, input, effects from trunkline.saga_history where saga_id = $1 order by seq',
        [id],
      )
      return rows.map((row) => ({ seq: row['seq'], status: row['status'], input: row['input'], effects: row['effects'] }))
    },
  }
}
