import { PostgresParkingStore } from '../../../src/adapters/postgres/parking-store.ts'
import { parkingStoreConformance } from '../../conformance/parking-store.ts'
import { openDatabase } from './open-database.ts'

parkingStoreConformance('postgres', async () => {
  const { database } = await openDatabase({ maxConnections: 8, connectTimeoutMs: 10_000 })
  return {
    database,
    parking: new PostgresParkingStore(database),
    queueOf: async ({ topic, hash }) => {
      const { rows } = await database.outside.query(
        "select id, state from trunkline.parked_message where consumer_group = 'g' and key_topic = $1 and key_hash = $2 order by seq",
        [topic, hash],
      )
      return rows.map((row) => `${String(row['id'])} ${String(row['state'])}`)
    },
    unpark: async ({ topic, hash }) =>
      await database.transaction(async (tx) => {
        await tx.query("select from trunkline.parked_key where consumer_group = 'g' and topic = $1 and key_hash = $2 for update", [
          topic,
          hash,
        ])
        const { rowCount } = await tx.query(unparkSql, [topic, hash])
        return rowCount > 0
      }),
  }
})

const unparkSql = `
  delete from trunkline.parked_key k
   where k.consumer_group = 'g' and k.topic = $1 and k.key_hash = $2
     and not exists (select from trunkline.parked_message m
                      where m.consumer_group = k.consumer_group and m.key_topic = k.topic and m.key_hash = k.key_hash)`
