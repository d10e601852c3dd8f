import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { packHeaders } from '../../src/core/broker/header-bytes.ts'
import { positiveHash } from '../../src/core/broker/partitioner.ts'
import type { Database } from '../../src/core/database/database.ts'
import type { OutboxAppender, OutboxRow, OutboxStore, Pass, PendingRow, Term } from '../../src/core/outbox/outbox-store.ts'

export interface OutboxSubject<Tx> {
  readonly database: Database<Tx>
  readonly appender: OutboxAppender<Tx>
  /** Opens another set of connections, as another process would. */
  open(): Promise<OutboxStore>
}

const leaseMs = 30_000
const wholeTable: Pass = { limit: 100, bytesMax: 1_000_000, inFlight: [], blocked: [] }

/** What every outbox promises: see the ports in `core/outbox/outbox-store.ts`. */
export function outboxStoreConformance<Tx>(name: string, begin: () => Promise<OutboxSubject<Tx>>): void {
  describe(`${name}: the write side`, () => writeSide(begin))
  describe(`${name}: the relay's side`, () => relaySide(begin))
  describe(`${name}: the lease`, () => lease(begin))
}

function writeSide<Tx>(begin: () => Promise<OutboxSubject<Tx>>): void {
  test('keeps the order in which rows were appended, within a statement and across transactions', async () => {
    const subject = await begin()

    await append(subject, [row('a'), row('b'), row('c')])
    await append(subject, [row('d')])

    const rows = await pending(subject)
    expect(rows.map(({ topic }) => topic)).toEqual(['a', 'b', 'c', 'd'])
    expect(rows.every(({ seq }, index) => index === 0 || seq > (rows[index - 1]?.seq ?? 0n))).toBe(true)
  })

  test('keeps nothing when the transaction rolls back', async () => {
    const subject = await begin()

    const aborted = subject.database.transaction(async (tx) => {
      await subject.appender.append(tx, [row('a')])
      throw new Error('abort')
    })

    await expect(aborted).rejects.toThrow('abort')
    expect(await pending(subject)).toEqual([])
  })

  test('gives the number of the transaction', async () => {
    const subject = await begin()

    const [given, assigned] = await subject.database.transaction(async (tx) => {
      const number = await subject.appender.append(tx, [row('a')])
      const { rows } = await subject.database.queryable(tx).query('select pg_current_xact_id_if_assigned()::text as number')
      return [number, rows[0]?.['number']]
    })

    expect(given).toMatch(/^\d+$/)
    expect(given).toBe(assigned)
  })

  test('keeps every byte of key, value and headers, and tells null from empty', async () => {
    const subject = await begin()
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const headers = packHeaders([
      ['twice', Buffer.from('1')],
      ['twice', bytes],
      ['empty', Buffer.alloc(0)],
    ])
    const written = [
      row('bytes', { key: bytes, value: bytes, headers }),
      row('nulls', { key: null, value: null }),
      row('empty', { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: Buffer.alloc(0) }),
    ]

    await append(subject, written)

    expect(await pending(subject)).toMatchObject(written)
  })
}

function relaySide<Tx>(begin: () => Promise<OutboxSubject<Tx>>): void {
  test('reads the lowest rows first, no more than asked for', async () => {
    const subject = await begin()
    await append(subject, [row('a'), row('b'), row('c')])

    expect(topicsOf(await pending(subject, { limit: 2 }))).toEqual(['a', 'b'])
  })

  test('reads no more bytes than asked for, but always one row', async () => {
    const subject = await begin()
    const value = Buffer.alloc(50_000)
    await append(subject, [row('a', { value }), row('b', { value }), row('c', { value }), row('d')])

    expect(topicsOf(await pending(subject, { bytesMax: 1 }))).toEqual(['a'])
    expect(topicsOf(await pending(subject, { bytesMax: 100_000 }))).toEqual(['a', 'b'])
  })

  test('leaves out what is in flight, blocked topics and blocked partitions', async () => {
    const subject = await begin()
    await append(subject, [row('flying'), row('topic'), row('open'), row('partition', { keyHash: 7 }), row('partition', { keyHash: 8 })])
    const [flying] = await pending(subject)

    const rows = await pending(subject, {
      inFlight: [flying?.seq ?? 0n],
      blocked: [
        { topic: 'topic', partition: undefined, partitions: 1 },
        { topic: 'partition', partition: 3, partitions: 4 },
      ],
    })

    expect(rows.map(({ topic, keyHash }) => (topic === 'partition' ? keyHash : topic))).toEqual(['open', 8])
  })

  test('removes the rows that were acknowledged and no others', async () => {
    const subject = await begin()
    const store = await subject.open()
    const term = await termOf(store)
    await append(subject, [row('a'), row('b'), row('c')])
    const rows = await store.fetchPending(term, wholeTable)

    const removed = await store.remove(term, rows?.filter(({ topic }) => topic !== 'b') ?? [])

    expect(removed).toBe(true)
    expect(topicsOf(await store.fetchPending(term, wholeTable))).toEqual(['b'])
    await store.close()
  })

  test('does not remove a row that has the number of another message', async () => {
    const subject = await begin()
    const store = await subject.open()
    const term = await termOf(store)
    await append(subject, [row('a')])
    const [read] = (await store.fetchPending(term, wholeTable)) ?? []

    // After a crash of the server a number can come again, for another message.
    await store.remove(term, read === undefined ? [] : [{ ...read, id: randomUUID() }])

    expect(topicsOf(await store.fetchPending(term, wholeTable))).toEqual(['a'])
    await store.close()
  })

  test('stores the partition count that came first', async () => {
    const subject = await begin()
    const store = await subject.open()

    const before = await store.partitionsOf('orders')
    const first = await store.storePartitions('orders', 4)
    const second = await store.storePartitions('orders', 8)

    expect([before, first, second, await store.partitionsOf('orders')]).toEqual([undefined, 4, 4, 4])
    await store.close()
  })
}

function lease<Tx>(begin: () => Promise<OutboxSubject<Tx>>): void {
  test('has one owner at a time', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])

    const terms = await Promise.all([one.acquire('one', leaseMs), two.acquire('two', leaseMs)])

    expect(terms.filter((term) => term !== undefined)).toHaveLength(1)
    await Promise.all([one.close(), two.close()])
  })

  test('passes to the next one at once when it is released, with a higher epoch', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])
    const first = await termOf(one)

    await one.release(first)
    const second = await two.acquire('two', leaseMs)

    expect(second?.epoch).toBeGreaterThan(first.epoch)
    expect(await one.renew(first, leaseMs)).toBe(false)
    await Promise.all([one.close(), two.close()])
  })

  test('comes back to its owner at once, with a higher epoch; the former term has ended', async () => {
    const subject = await begin()
    const [one, again] = await Promise.all([subject.open(), subject.open()])
    const first = await termOf(one)

    const second = await termOf(again)

    expect(second.epoch).toBeGreaterThan(first.epoch)
    expect(await one.renew(first, leaseMs)).toBe(false)
    expect(await again.renew(second, leaseMs)).toBe(true)
    await Promise.all([one.close(), again.close()])
  })

  test('lapses when it is not renewed; then the former owner reads, renews and removes nothing', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])
    await append(subject, [row('a')])
    const first = await termOf(one, 1)
    const rows = (await two.acquire('two', leaseMs)) === undefined ? [] : [await rowOf(subject)]

    expect(rows).toHaveLength(1)
    expect(await one.fetchPending(first, wholeTable)).toBeUndefined()
    expect(await one.renew(first, leaseMs)).toBe(false)
    expect(await one.remove(first, rows)).toBe(false)
    expect(await rowOf(subject)).toMatchObject({ topic: 'a' })
    await Promise.all([one.close(), two.close()])
  })

  test('does not show rows to an owner whose lease has run out, even when nobody else came', async () => {
    const subject = await begin()
    const store = await subject.open()
    await append(subject, [row('a')])
    const term = await termOf(store, 1)

    expect(await store.fetchPending(term, wholeTable)).toBeUndefined()
    await store.close()
  })
}

/** A row for the topic; the topic's name is what tells rows apart. */
function row(topic: string, more: Partial<OutboxRow> = {}): OutboxRow {
  const id = randomUUID()
  const routing = Buffer.from(id)
  return {
    id,
    topic,
    key: routing,
    value: Buffer.from(topic),
    headers: packHeaders([]),
    keyHash: positiveHash(routing),
    bucket: 0,
    ...more,
  }
}

async function append<Tx>({ database, appender }: OutboxSubject<Tx>, rows: readonly OutboxRow[]): Promise<string> {
  return await database.transaction((tx) => appender.append(tx, rows))
}

async function termOf(store: OutboxStore, ms = leaseMs): Promise<Term> {
  const term = await store.acquire('one', ms)
  if (term === undefined) throw new Error('The lease is taken.')
  return term
}

/** What an owner sees; it leaves office again. */
async function pending<Tx>(subject: OutboxSubject<Tx>, pass: Partial<Pass> = {}): Promise<readonly PendingRow[]> {
  const store = await subject.open()
  try {
    const term = await termOf(store)
    const rows = await store.fetchPending(term, { ...wholeTable, ...pass })
    await store.release(term)
    return rows ?? []
  } finally {
    await store.close()
  }
}

/** The only row there is, whoever is in office. */
async function rowOf<Tx>(subject: OutboxSubject<Tx>): Promise<PendingRow> {
  const { rows } = await subject.database.outside.query(
    'select seq, id, topic, key, value, headers, key_hash, bucket from trunkline.outbox',
  )
  const [found] = rows
  if (found === undefined || rows.length > 1) throw new Error(`There are ${rows.length} rows.`)
  const { seq, id, topic, key, value, headers, key_hash: keyHash, bucket } = found
  return { seq: BigInt(seq), id, topic, key, value, headers, keyHash, bucket, createdAtMs: 0 }
}

function topicsOf(rows: readonly PendingRow[] | undefined): string[] | undefined {
  return rows?.map(({ topic }) => topic)
}
