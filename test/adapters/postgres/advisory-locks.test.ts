import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { PostgresInboxUpkeep } from '../../../src/adapters/postgres/inbox-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { openDatabase } from './open-database.ts'

// Behind a pooler a lock of a session stays with the server's, where the next one that waits for it may be anybody.
test('the lock under which the inbox is tended ends with its transaction, while the connection lives on', async () => {
  const { database } = await openDatabase({ maxConnections: 1 })
  const held: number[] = []
  const transaction = database.transaction.bind(database)
  Object.assign(database, {
    transaction: (work: (tx: Transaction) => Promise<unknown>) =>
      transaction(async (tx) => {
        const result = await work(tx)
        held.push((await tx.query(locksSql)).rows.length)
        return result
      }),
  })

  await new PostgresInboxUpkeep(database).tend(86_400_000)

  expect(new Set(held)).toEqual(new Set([1]))
  expect((await database.outside.query(locksSql)).rows).toEqual([])
})

test('no statement and no migration takes an advisory lock for longer than its transaction', () => {
  const places = ['adapters/postgres', 'core', 'wiring', 'faces/cli'].map((place) => new URL(`../../../src/${place}/`, import.meta.url))
  const files = places.flatMap((place) =>
    readdirSync(place, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|sql)$/.test(name))
      .map((name) => ({ name, text: readFileSync(new URL(name, place), 'utf8') })),
  )
  const locks = files.flatMap(({ name, text }) => [...text.matchAll(/pg_(try_)?advisory_\w+/g)].map(([lock]) => `${name}: ${lock}`))

  expect(locks.length).toBeGreaterThan(1)
  expect(locks.filter((lock) => !/pg_(try_)?advisory_xact_lock/.test(lock))).toEqual([])
})

const locksSql = "select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
