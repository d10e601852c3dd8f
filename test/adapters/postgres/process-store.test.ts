import { PostgresProcessStore } from '../../../src/adapters/postgres/process-store.ts'
import { processStoreConformance } from '../../conformance/process-store.ts'
import { openDatabase } from './open-database.ts'

processStoreConformance('postgres', async () => {
  const { database } = await openDatabase()
  const { outside } = database
  return {
    processes: new PostgresProcessStore({ outside }),
    pause: async (group) => {
      await outside.query("insert into trunkline.group_pause (consumer_group, paused_by, reason) values ($1, 'a person', 'why')", [group])
    },
    alive: async () => {
      const { rows } = await outside.query('select id from trunkline.process where expires_at > trunkline.now() order by id')
      return rows.map((row) => String(row['id']))
    },
    // The rows grow older: the same as time going on.
    advance: async (ms) => {
      await outside.query("update trunkline.process set expires_at = expires_at - $1::int * interval '1 millisecond'", [ms])
    },
  }
})
