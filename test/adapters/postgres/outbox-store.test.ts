import { randomUUID } from 'node:crypto'
import { Client, Pool } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { PostgresOutboxAppender } from '../../../src/adapters/postgres/outbox-appender.ts'
import { PostgresOutboxStoreFactory } from '../../../src/adapters/postgres/outbox-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import type { OutboxStoreEvents, PendingRow } from '../../../src/core/outbox/outbox-store.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { outboxStoreConformance } from '../../conformance/outbox-store.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { until } from '../../kit/wait.ts'
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
  const { term } = await store.acquire('one', 10_000)
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

  const { term } = await store.acquire('one', 10_000)
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

/** Whether a transaction had its number before the outbox gave its row one; the sequence has none to give. */
async function numbersTransactionFirst(table: string, sequence: string): Promise<boolean> {
  const { url } = await createTestDatabase()
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  // What the order would be if the columns were the other way round.
  await client.query(`create table other (
    seq bigint generated always as identity, xid xid8 default pg_current_xact_id(),
    bucket smallint, key_hash integer, topic text, id uuid, headers bytea)`)
  await client.query(`alter sequence ${sequence} maxvalue 2; select setval('${sequence}', 2)`)
  await client.query('begin; savepoint row')
  await client
    .query(`insert into ${table} (bucket, key_hash, topic, id, headers) values (0, 0, 't', gen_random_uuid(), '')`)
    .catch(() => undefined)
  await client.query('rollback to savepoint row')
  const { rows } = await client.query('select pg_current_xact_id_if_assigned() is not null as numbered')
  return rows[0]?.numbered === true
}

test('a transaction has its number before its row has one: whoever took a number up to the last is known', async () => {
  expect(await numbersTransactionFirst('trunkline.outbox', 'trunkline.outbox_seq_seq')).toBe(true)
  expect(await numbersTransactionFirst('other', 'other_seq_seq')).toBe(false)
})

async function inOffice(url: string, leaseMs = 10_000) {
  const store = await new PostgresOutboxStoreFactory({ connectionString: url }).open(nobodyListens)
  onTestFinished(() => store.close())
  const { term } = await store.acquire('one', leaseMs)
  if (term === undefined) throw new Error('The lease is taken.')
  return { store, term }
}

const pending: PendingRow = { ...row, seq: 1n, headers: [], timestampMs: 0, size: 64, release: () => undefined }

test('a write that is under way holds off a take-over, so that nothing is taken away under the eyes of the next owner', async () => {
  const { database, url } = await openDatabase()
  // Its time is over at once, and nobody else is in office yet: it may still write.
  const { store, term } = await inOffice(url, 1)
  await database.transaction((tx) => new PostgresOutboxAppender(database).append(tx, [row], 'ours'))
  const successor = await new PostgresOutboxStoreFactory({ connectionString: url }).open(nobodyListens)
  onTestFinished(() => successor.close())
  const waits = async (what: string): Promise<boolean> => {
    const sql = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like $1"
    return (await database.outside.query(sql, [`%${what}%`])).rows.length === 1
  }

  const { removing, taking } = await database.transaction(async (tx) => {
    await tx.query('select from trunkline.outbox for update')
    const removing = store.remove(term, [pending])
    await until('a delete that waits', () => waits('delete from trunkline.outbox as o'))
    const taking = successor.acquire('two', 10_000)
    await until('a successor that waits', () => waits('set owner = $1'))
    return { removing, taking }
  })

  expect(await removing).toEqual(expect.any(BigInt))
  expect(await taking).toMatchObject({ term: { owner: 'two' } })
})

test('takes rows away without waiting for the disk, and for a lock no longer than twenty seconds', async () => {
  const { database, url } = await openDatabase()
  const { store, term } = await inOffice(url)
  await database.outside.query('create table seen (commits text, waits text)')
  await database.outside.query(`create function see() returns trigger language plpgsql as $$ begin
    insert into seen values (current_setting('synchronous_commit'), current_setting('lock_timeout')); return null; end $$`)
  await database.outside.query('create trigger see after delete on trunkline.outbox execute function see()')

  await store.remove(term, [pending])

  expect((await database.outside.query('select * from seen')).rows).toEqual([{ commits: 'off', waits: '20s' }])
})
