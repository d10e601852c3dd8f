import { describe, expect, test } from 'vitest'
import { migrate } from '../../../src/adapters/postgres/migrate.ts'
import { PostgresOutboxStoreFactory } from '../../../src/adapters/postgres/outbox-store.ts'
import { ConflictError, TransientError } from '../../../src/foundation/errors.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { insert, openDatabase, withTable } from './open-database.ts'

describe('what the server refuses', () => {
  test('is a conflict when another transaction holds the lock for too long', async () => {
    const { database } = await withTable({ lockTimeoutMs: 50 })
    await database.outside.query(insert, [1])
    const update = 'update effect set n = n where n = 1'

    await database.transaction(async (holder) => {
      await holder.query(update)
      const waiting = database.transaction((tx) => tx.query(update))
      await expect(waiting).rejects.toBeInstanceOf(ConflictError)
    })
  })

  test('is a conflict when two transactions wait for each other, and one of them goes on', async () => {
    const { database } = await withTable()
    await database.outside.query('insert into effect values (1), (2)')
    const update = 'update effect set n = n where n = $1'
    const bothHold = Promise.withResolvers<void>()
    let holding = 0
    const crossing = (first: number, second: number) =>
      database.transaction(async (tx) => {
        await tx.query(update, [first])
        if (++holding === 2) bothHold.resolve()
        await bothHold.promise
        await tx.query(update, [second])
      })

    const results = await Promise.allSettled([crossing(1, 2), crossing(2, 1)])

    const failed = results.filter((result) => result.status === 'rejected')
    expect(failed).toHaveLength(1)
    expect(failed[0]?.reason).toBeInstanceOf(ConflictError)
  })

  test('stays a conflict when the work wraps the error', async () => {
    const { database } = await withTable()

    const work = database.transaction(async (tx) => {
      await tx.query("do $$ begin raise exception using errcode = '40001'; end $$").catch(() => {
        throw new Error('something of my own')
      })
    })

    await expect(work).rejects.toBeInstanceOf(ConflictError)
  })

  test('is a transient error when every connection is taken', async () => {
    const { database } = await withTable({ maxConnections: 1, connectTimeoutMs: 300 })

    await database.transaction(async (tx) => {
      await tx.query('select 1')
      await expect(database.transaction((other) => other.query('select 1'))).rejects.toMatchObject({
        name: 'TransientError',
        code: 'DATABASE_UNAVAILABLE',
        message: expect.stringContaining('every connection of the pool is in use: then raise database.maxConnections'),
      })
    })
  })

  test('is the error of the server itself when the statement is wrong', async () => {
    const { database } = await withTable()

    const work = database.transaction((tx) => tx.query('select nonsense from effect'))

    await expect(work).rejects.toMatchObject({ code: '42703' })
  })
})

const silentEvents = { onLost: () => undefined, onCalled: () => undefined, onVacant: () => undefined }

describe('what only a person can repair', () => {
  test.for([
    ['28P01', (url: URL) => Object.assign(url, { username: 'nobody-of-this-name', password: 'hunter2' })],
    ['3D000', (url: URL) => Object.assign(url, { pathname: '/no-such-database' })],
  ] as const)('is a configuration error (%s) that says where to look, and no password', async ([sqlState, change]) => {
    const wrong = change(new URL((await withTable()).url))
    const { database } = await openDatabase({ url: wrong.href })
    const attempts = [
      database.transaction(async () => undefined),
      database.outside.query('select 1'),
      migrate(wrong.href),
      new PostgresOutboxStoreFactory({ connectionString: wrong.href }).open(silentEvents),
    ]

    for (const attempt of await Promise.allSettled(attempts)) {
      expect(attempt).toMatchObject({ reason: { name: 'ConfigurationError', code: 'DATABASE_REFUSED', details: { sqlState } } })
      expect(JSON.stringify(attempt)).not.toContain('hunter2')
    }
  })

  test('is not seen in an error that a statement raised with such a code', async () => {
    const { database } = await withTable()

    const work = database.transaction((tx) => tx.query("do $$ begin raise exception using errcode = '28000'; end $$"))

    await expect(work).rejects.toMatchObject({ code: '28000' })
  })
})

test('a connection that breaks in the middle is a transient error, and the next transaction works', async () => {
  const { url } = await withTable()
  await using proxy = await new PostgresProxy(url).start()
  const { database, numbers } = await withTable({ url: proxy.url })

  const work = database.transaction(async (tx) => {
    await tx.query(insert, [1])
    proxy.cut()
    await tx.query(insert, [2])
  })

  await expect(work).rejects.toBeInstanceOf(TransientError)
  await database.transaction((tx) => tx.query(insert, [3]))
  expect(await numbers()).toEqual([3])
})

test('a session has limits on idle transactions, lock waits and silent connections', async () => {
  const { database } = await withTable()

  const { rows } = await database.transaction((tx) => tx.query(limitsSql))

  expect(rows).toEqual([{ idle: '10s', lock: '2s', tcp: '10000' }])
})

const limitsSql = `
  select current_setting('idle_in_transaction_session_timeout') as idle,
         current_setting('lock_timeout') as lock,
         current_setting('tcp_user_timeout') as tcp`

test('a statement that a silent network swallows ends in a transient error, and the next transaction works', async () => {
  const { url } = await withTable()
  await using proxy = await new PostgresProxy(url).start()
  const { database, numbers } = await withTable({ url: proxy.url, answerTimeoutMs: 300 })

  const swallowed = database.transaction(async (tx) => {
    await tx.query(insert, [1])
    proxy.blackHole()
    await tx.query(insert, [2])
  })

  await expect(swallowed).rejects.toBeInstanceOf(TransientError)
  proxy.cut()
  proxy.pass()
  await database.transaction((tx) => tx.query(insert, [3]))
  expect(await numbers()).toEqual([3])
})
