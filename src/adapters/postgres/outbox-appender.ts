import type { Database } from '../../core/database/database.ts'
import type { OutboxAppender, OutboxRow, ScheduledRow } from '../../core/outbox/outbox-store.ts'
import { PermanentError } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'
import { mapMissingTable } from './errors.ts'

/** The write side: one statement in somebody's transaction. */
export class PostgresOutboxAppender<Tx extends object> implements OutboxAppender<Tx> {
  readonly #database: Database<Tx>
  /** In callers' transactions: the mark that was set when something was last published there. */
  readonly #marks = new WeakMap<Tx, string>()

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  append(tx: Tx, rows: readonly OutboxRow[], whose: 'ours' | 'callers'): Promise<string> {
    const [row] = rows
    if (row === undefined || rows.length > 1) return this.#insert(tx, appendSql, columnsOf(rows), whose)
    const number = whose === 'ours' ? this.#database.numberOf?.(tx) : undefined
    // The commonest case, and what is known already need not travel.
    if (number !== undefined) return this.#insertSilently(tx, row, number)
    return this.#insert(tx, appendOneSql, columnsOfOne(row), whose)
  }

  async schedule(tx: Tx, rows: readonly ScheduledRow[], whose: 'ours' | 'callers'): Promise<string> {
    const dueAt = rows.map(({ notBefore }) => notBefore.toISOString())
    return await this.#insert(tx, scheduleSql, [...columnsOf(rows), dueAt], whose)
  }

  #insertSilently(tx: Tx, row: OutboxRow, number: string): Promise<string> {
    return this.#database
      .queryable(tx)
      .query(insertOneSql, columnsOfOne(row), 'often')
      .then(() => number, refuse)
  }

  async #insert(tx: Tx, text: string, values: readonly unknown[], whose: 'ours' | 'callers'): Promise<string> {
    const mark = this.#marks.get(tx)
    try {
      const inserted = whose === 'ours' || mark !== undefined ? await this.#send(tx, text, values, mark) : undefined
      return inserted ?? (await this.#sendMarked(tx, text, values))
    } catch (error) {
      return refuse(error)
    }
  }

  /** A setting that ends with the transaction shows that there is one: without it, or after its end, the mark is gone. */
  async #sendMarked(tx: Tx, text: string, values: readonly unknown[]): Promise<string> {
    const mark = newToken()
    this.#marks.set(tx, mark)
    // Both leave at once, so that a message which nobody awaits does not overtake this one.
    const [, inserted] = await Promise.all([this.#database.queryable(tx).query(markSql, [mark]), this.#send(tx, text, values, mark)])
    if (inserted === undefined) throw noTransaction()
    return inserted
  }

  /** @returns the transaction's number; `undefined` when the mark is not there, and then nothing was inserted */
  async #send(tx: Tx, text: string, values: readonly unknown[], mark: string | undefined): Promise<string | undefined> {
    const result = await this.#database.queryable(tx).query(text, [...values, mark ?? null], 'often')
    return result.rows[0]?.['transaction_id']
  }
}

const markSql = "select set_config('trunkline.publishing', $1, true) as mark"

function refuse(error: unknown): never {
  throw mapMissingTable(error)
}

function noTransaction(): PermanentError {
  return new PermanentError(
    'TRANSACTION_NEEDED',
    'publish came outside a transaction: none was begun on this connection, or it has ended. Nothing was published. Publish between begin and commit, and await it.',
  )
}

function columnsOfOne(row: OutboxRow): unknown[] {
  return [row.bucket, row.keyHash, row.topic, row.id, row.key, row.value, row.headers]
}

function columnsOf(rows: readonly OutboxRow[]): unknown[] {
  return [
    rows.map((row) => row.bucket),
    rows.map((row) => row.keyHash),
    rows.map((row) => row.topic),
    rows.map((row) => row.id),
    rows.map((row) => row.key),
    rows.map((row) => row.value),
    rows.map((row) => row.headers),
  ]
}

// A session with synchronous_commit off could lose the commit in a crash of Postgres after the message was sent:
// measured, 40 of 40 messages told of transactions that never were. The insert raises the setting for its transaction.
//
// One row, the commonest case, is a plan of two nodes, and its bytes travel as bytes; in arrays they would be text.
// The number is returned as text: not every database library knows its type.
const insertOneSql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  select $1::smallint, $2::int, $3::text, $4::uuid, $5::bytea, $6::bytea, $7::bytea
   where case current_setting('synchronous_commit')
           when 'off' then set_config('synchronous_commit', 'on', true) else 'kept' end is not null`

const appendOneSql = `${insertOneSql}
     and ($8::text is null or current_setting('trunkline.publishing', true) = $8)
  returning xid::text as transaction_id`

const appendSql = `
  with raised as materialized (
    select case current_setting('synchronous_commit')
             when 'off' then set_config('synchronous_commit', 'on', true) else 'kept' end as setting
  ), appended as (
    insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
    select r.bucket, r.key_hash, r.topic, r.id, r.key, r.value, r.headers
      from raised, unnest($1::smallint[], $2::int[], $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[])
             with ordinality as r (bucket, key_hash, topic, id, key, value, headers, position)
     where raised.setting is not null and ($8::text is null or current_setting('trunkline.publishing', true) = $8)
     order by r.position
    returning xid
  )
  select xid::text as transaction_id from appended limit 1`

const scheduleSql = `
  with raised as materialized (
    select case current_setting('synchronous_commit')
             when 'off' then set_config('synchronous_commit', 'on', true) else 'kept' end as setting
  ), scheduled as (
    insert into trunkline.outbox_scheduled (bucket, key_hash, topic, id, key, value, headers, due_at)
    select r.bucket, r.key_hash, r.topic, r.id, r.key, r.value, r.headers, r.due_at
      from raised,
           unnest($1::smallint[], $2::int[], $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[], $8::timestamptz[])
             with ordinality as r (bucket, key_hash, topic, id, key, value, headers, due_at, position)
     where raised.setting is not null and ($9::text is null or current_setting('trunkline.publishing', true) = $9)
     order by r.position
    returning seq
  )
  select pg_current_xact_id()::text as transaction_id from scheduled limit 1`
