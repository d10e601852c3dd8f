import { expect, test } from 'vitest'
import { PostgresHandledTypes } from '../../../src/adapters/postgres/handled-types.ts'
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

/** A process that has said for the last time long ago that it lives, and what it has handlers for. */
async function late() {
  const { database } = await openDatabase()
  const types = new PostgresHandledTypes(database)
  const row = { service: 'orders', host: 'h', pid: 1, groups: ['orders'], paused: [], handles: { orders: ['shop.Rated'] } }
  const id = '00000000-0000-4000-8000-000000000001'
  const beat = (outside = database.outside) => new PostgresProcessStore({ outside }).beat({ id, ...row }, 10_000)
  await beat()
  await database.outside.query("update trunkline.process set expires_at = expires_at - interval '1 minute'")
  const names = async (): Promise<readonly string[]> => (await types.list('orders')).map(({ name }) => name)
  return { database, types, beat, names }
}

test('a type that was given up while its process was late is handled again from its next beat on', async () => {
  const { database, types, beat, names } = await late()

  const forgotten = await database.transaction((tx) => types.forget(tx, 'orders', 'shop.Rated'))
  const meanwhile = await names()
  await beat()

  expect({ forgotten, meanwhile, afterwards: await names() }).toEqual({ forgotten: true, meanwhile: [], afterwards: ['shop.Rated'] })
})

test('a beat that comes while a type is being given up brings it back', async () => {
  const { database, types, beat, names } = await late()

  const beating = await database.transaction(async (tx) => {
    await types.forget(tx, 'orders', 'shop.Rated')
    return { beat: beat() }
  })
  await beating.beat

  expect(await names()).toEqual(['shop.Rated'])
})

test('a type is not given up while a beat of its process is on its way', async () => {
  const { database, types, beat, names } = await late()

  const forgetting = await database.transaction(async (tx) => {
    await beat(database.queryable(tx))
    return { forgotten: database.transaction((other) => types.forget(other, 'orders', 'shop.Rated')) }
  })

  expect(await forgetting.forgotten).toBe(false)
  expect(await names()).toEqual(['shop.Rated'])
})
