import { randomUUID } from 'node:crypto'
import { Pool } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { PostgresOutboxAppender } from '../../../src/adapters/postgres/outbox-appender.ts'
import { PostgresOutboxStoreFactory } from '../../../src/adapters/postgres/outbox-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import type { OutboxStoreEvents } from '../../../src/core/outbox/outbox-store.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { outboxStoreConformance } from '../../conformance/outbox-store.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { openDatabase } from './open-database.ts'

const nobodyListens: OutboxStoreEvents = { onLost: () => undefined, onCalled: () => undefined, onVacant: () => undefined }

outboxStoreConformance<Transaction>('Postgres outbox', async () => {
  const { database, url } = await openDatabase()
  const outboxes = new PostgresOutboxStoreFactory({ connectionString: url })
  return {
    database,
    appender: new PostgresOutboxAppender(database),
    open: async (events) => {
      const store = await outboxes.open({ ...nobodyListens, ...events })
      onTestFinished(() => store.close())
      return store
    },
  }
})

const row = {
  id: '0190a5a0-0000-7000-8000-000000000001',
  topic: 'a',
  key: null,
  value: null,
  headers: Buffer.alloc(0),
  keyHash: 0,
  bucket: 0,
}

test('raises synchronous_commit where the session has it off, for its transaction only', async () => {
  const { url } = await openDatabase()
  const pool = new Pool({ connectionString: url, max: 1, options: '-c synchronous_commit=off' })
  onTestFinished(() => pool.end())
  const { database } = await openDatabase({ pool })
  const appender = new PostgresOutboxAppender(database)
  const setting = "select current_setting('synchronous_commit') as setting"

  const seen = await database.transaction(async (tx) => {
    const before = (await tx.query(setting)).rows[0]
    await appender.append(tx, [row], 'ours')
    return [before, (await tx.query(setting)).rows[0]]
  })
  const after = (await database.outside.query(setting)).rows[0]

  expect([...seen, after]).toEqual([{ setting: 'off' }, { setting: 'on' }, { setting: 'off' }])
})

test('says once that a connection was lost, and rejects with a transient error', async () => {
  const { url } = await createTestDatabase()
  await using proxy = await new PostgresProxy(url).start()
  const lost: Error[] = []
  const store = await new PostgresOutboxStoreFactory({ connectionString: proxy.url }).open({
    ...nobodyListens,
    onLost: (reason) => lost.push(reason),
  })

  proxy.cut()
  const error = await store.acquire('one', 1_000).catch((thrown: unknown) => thrown)
  await store.close()

  expect(isTrunklineError(error, 'DATABASE_UNAVAILABLE')).toBe(true)
  expect(lost.length).toBeGreaterThan(0)
})

test('names the database when it cannot connect', async () => {
  const nobody = new URL(inject('databaseUrl'))
  nobody.port = '1'

  const opening = new PostgresOutboxStoreFactory({ connectionString: nobody.href }).open(nobodyListens)

  await expect(opening).rejects.toMatchObject({ name: 'TransientError', message: expect.stringContaining('127.0.0.1:1') })
})

test('gives up a read that the server breaks off by a limit of its own, and answers the next', async () => {
  const { database, url } = await openDatabase()
  const options = '-c statement_timeout=100'
  const store = await new PostgresOutboxStoreFactory({ connectionString: url, options }).open(nobodyListens)
  onTestFinished(() => store.close())
  const term = await store.acquire('one', 10_000)
  if (term === undefined) throw new Error('The lease is taken.')
  const pass = { after: 0n, upTo: 1_000n, withinMs: 60_000, limit: 1, bytesMax: 1, inFlight: [], only: undefined, without: [], held: [] }
  const read = () => store.fetchPending(term, { ...pass, assumedRunning: [], namesRunningBelow: undefined })

  const slow = await database.transaction(async (tx) => {
    await tx.query('lock table trunkline.outbox in access exclusive mode')
    return await read().catch((error: unknown) => error)
  })

  expect(slow).toMatchObject({ name: 'TransientError', code: 'STATEMENT_TOO_SLOW' })
  expect(await read()).toMatchObject({ rows: [] })
})

test('asks the server one thing at a time, as the driver wants it', async () => {
  const { url } = await createTestDatabase()
  const store = await new PostgresOutboxStoreFactory({ connectionString: url }).open(nobodyListens)
  const warnings: Error[] = []
  const listen = (warning: Error): number => warnings.push(warning)
  process.on('warning', listen)

  const term = await store.acquire('one', 10_000)
  if (term === undefined) throw new Error('The lease is taken.')
  const answers = await Promise.all([
    store.partitionsOf(term, 't', 3),
    store.newTransactionId(),
    store.renew(term, 10_000, 0n),
    store.partitionsOf(term, 't', 4),
  ])
  await new Promise(setImmediate)
  process.off('warning', listen)
  await store.close()

  expect(answers).toEqual([3, expect.any(BigInt), true, 3])
  expect(warnings).toEqual([])
})

test('a server that forgot what was prepared, as behind a transaction pooler, costs one transaction; from then on nothing is prepared', async () => {
  const { url } = await openDatabase()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const { database } = await openDatabase({ pool })
  const appender = new PostgresOutboxAppender(database)
  const publish = () => database.transaction((tx) => appender.append(tx, [{ ...row, id: randomUUID() }], 'ours'))
  await publish()

  await database.outside.query('deallocate all')
  const refused = await publish().catch((error: unknown) => error)
  await publish()
  await database.outside.query('deallocate all')
  await publish()

  expect(refused).toMatchObject({ name: 'ConflictError', code: 'DATABASE_CONFLICT' })
  expect((await database.outside.query('select count(*)::int as count from trunkline.outbox')).rows).toEqual([{ count: 3 }])
})
