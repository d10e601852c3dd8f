import type { Database } from '../../core/database/database.ts'
import type { OutboxAppender, OutboxRow, ScheduledRow } from '../../core/outbox/outbox-store.ts'

/** The write side: one statement in somebody's transaction. */
export class PostgresOutboxAppender<Tx> implements OutboxAppender<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async append(tx: Tx, rows: readonly OutboxRow[]): Promise<string> {
    return await this.#insert(tx, appendSql, columnsOf(rows))
  }

  async schedule(tx: Tx, rows: readonly ScheduledRow[]): Promise<string> {
    const dueAt = rows.map(({ notBefore }) => notBefore.toISOString())
    return await this.#insert(tx, scheduleSql, [...columnsOf(rows), dueAt])
  }

  async #insert(tx: Tx, text: string, values: readonly unknown[]): Promise<string> {
    const result = await this.#database.queryable(tx).query(text, values)
    return String(result.rows[0]?.['transaction_id'])
  }
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
const appendSql = `
  with raised as materialized (
    select case current_setting('synchronous_commit')
             when 'off' then set_config('synchronous_commit', 'on', true) else 'kept' end as setting
  ), appended as (
    insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
    select r.bucket, r.key_hash, r.topic, r.id, r.key, r.value, r.headers
      from raised, unnest($1::smallint[], $2::int[], $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[])
             with ordinality as r (bucket, key_hash, topic, id, key, value, headers, position)
     where raised.setting is not null
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
     where raised.setting is not null
     order by r.position
    returning seq
  )
  select pg_current_xact_id()::text as transaction_id from scheduled limit 1`
