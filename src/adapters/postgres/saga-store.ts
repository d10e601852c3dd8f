import type { Database } from '../../core/database/database.ts'
import type { ClaimedSaga, RunnableSaga, SagaChange, SagaStore, StoredSaga } from '../../core/saga/saga-store.ts'
import { stateFromJson, stateToJson } from '../../core/saga/state-json.ts'
import { ConflictError } from '../../foundation/errors.ts'

export class PostgresSagaStore<Tx> implements SagaStore<Tx> {
  readonly #database: Database<Tx>

  constructor(parts: { readonly database: Database<Tx> }) {
    this.#database = parts.database
  }

  async insert(tx: Tx, starts: readonly SagaChange[]): Promise<ReadonlySet<string>> {
    const { rows } = await this.#database
      .queryable(tx)
      .query(insertSql, [
        starts.map(({ saga }) => saga.instance.id),
        starts.map(({ saga }) => saga.saga),
        starts.map(({ saga }) => saga.definitionVersion),
        starts.map(({ saga }) => saga.graphHash),
        starts.map(({ saga }) => saga.instance.key),
        starts.map(({ saga }) => saga.correlationId),
        ...changing(starts),
      ])
    const inserted = new Set(rows.map((row) => String(row['id'])))
    await this.#writeHistory(
      tx,
      starts.filter(({ saga }) => inserted.has(saga.instance.id)),
    )
    return inserted
  }

  async lock(tx: Tx, saga: string, ids: readonly string[]): Promise<readonly StoredSaga[]> {
    const { rows } = await this.#database.queryable(tx).query(lockSql, [saga, ids])
    return rows.map(toStored)
  }

  async save(tx: Tx, changes: readonly SagaChange[]): Promise<void> {
    const expected = changes.map(({ saga, history }) => saga.version - history.length)
    const ids = changes.map(({ saga }) => saga.instance.id)
    const { rows } = await this.#database.queryable(tx).query(saveSql, [ids, expected, ...changing(changes)])
    if (Number(rows[0]?.['saved']) < changes.length) {
      throw new ConflictError(
        'SAGA_CHANGED',
        'A saga instance was changed by somebody else between load and save. Nothing was written: load it again in a new transaction.',
        { ids },
      )
    }
    await this.#writeHistory(tx, changes)
  }

  async claimDue(tx: Tx, runnable: readonly RunnableSaga[], limit: number): Promise<readonly ClaimedSaga[]> {
    const names = runnable.map(({ name }) => name)
    const versions = runnable.map(({ version }) => version)
    const { rows } = await this.#database.queryable(tx).query(claimSql, [names, versions, limit])
    const claimed = rows.map((row) => ({ saga: toStored(row), due: row['due'] === true }))
    const early = claimed.filter(({ due }) => !due).map(({ saga }) => saga.instance.id)
    if (early.length > 0) await this.#database.queryable(tx).query(rearmSql, [early])
    return claimed
  }

  async postpone(tx: Tx, ids: readonly string[], ms: number): Promise<void> {
    await this.#database.queryable(tx).query(postponeSql, [ids, ms])
  }

  async #writeHistory(tx: Tx, changes: readonly SagaChange[]): Promise<void> {
    const entries = changes.flatMap(({ saga, history }) =>
      history.map((entry, index) => ({ ...entry, id: saga.instance.id, seq: saga.version - history.length + index + 1 })),
    )
    if (entries.length === 0) return
    await this.#database
      .queryable(tx)
      .query(historySql, [
        entries.map((entry) => entry.id),
        entries.map((entry) => entry.seq),
        entries.map((entry) => entry.status),
        entries.map((entry) => JSON.stringify(entry.input)),
        entries.map((entry) => JSON.stringify(entry.effects)),
      ])
  }
}

/** The columns that every transition writes, in the order of the statements' parameters. */
function changing(changes: readonly SagaChange[]): unknown[] {
  return [
    changes.map(({ saga }) => saga.instance.status),
    changes.map(({ saga }) => saga.instance.reason),
    changes.map(({ saga }) => stateToJson(saga.instance.state)),
    changes.map(({ saga }) => JSON.stringify(saga.instance.steps)),
    changes.map(({ saga }) => saga.version),
    changes.map(({ timer }) => timer.kind),
    changes.map(({ timer }) => (timer.kind === 'after' ? timer.ms : null)),
  ]
}

/** The rows were written by this class; the casts end where the port's types begin. */
function toStored(row: Readonly<Record<string, unknown>>): StoredSaga {
  const steps = JSON.parse(String(row['steps'])) as StoredSaga['instance']['steps']
  return {
    instance: {
      id: String(row['id']),
      key: String(row['business_key']),
      status: row['status'] as StoredSaga['instance']['status'],
      reason: row['reason'] as string | null,
      state: stateFromJson(String(row['state'])),
      steps,
    },
    saga: String(row['saga']),
    definitionVersion: Number(row['definition_version']),
    graphHash: String(row['graph_hash']),
    version: Number(row['version']),
    correlationId: String(row['correlation_id']),
  }
}

const columns = `i.id, i.saga, i.definition_version, i.graph_hash, i.business_key, i.status, i.reason,
         i.state::text as state, i.steps::text as steps, i.version, i.correlation_id`

// Ids in ascending order here and below: transactions that overlap take turns and cannot deadlock.
const insertSql = `
  with started as (
    insert into trunkline.saga_instance as i (
      id, saga, definition_version, graph_hash, business_key, correlation_id, status, reason, state, steps, version, due_at)
    select id, saga, definition_version, graph_hash, business_key, correlation_id, status, reason, state::json, steps::json, version,
           case when timer = 'after' then trunkline.now() + after_ms * interval '1 millisecond' end
      from unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::text[], $10::text[], $11::integer[], $12::text[], $13::float8[])
        as start (id, saga, definition_version, graph_hash, business_key, correlation_id, status, reason, state, steps, version, timer, after_ms)
     order by id
    on conflict do nothing
    returning i.id, i.saga, i.definition_version, i.due_at
  ), armed as (
    insert into trunkline.saga_timer (saga_id, saga, definition_version, due_at)
    select id, saga, definition_version, due_at from started where due_at is not null
  )
  select id from started`

const lockSql = `
  select ${columns}
    from trunkline.saga_instance i
   where i.id = any($2::uuid[]) and i.saga = $1
   order by i.id
     for update`

// A timer row is moved when it would fire too late, or is due already; otherwise it may fire early, which costs one look.
const saveSql = `
  with changed as (
    update trunkline.saga_instance i
       set status = c.status, reason = c.reason, state = c.state::json, steps = c.steps::json, version = c.version,
           due_at = case c.timer
                      when 'keep' then i.due_at
                      when 'after' then trunkline.now() + c.after_ms * interval '1 millisecond'
                    end,
           updated_at = trunkline.now()
      from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::float8[])
        as c (id, expected, status, reason, state, steps, version, timer, after_ms)
     where i.id = c.id and i.version = c.expected
    returning i.id, i.saga, i.definition_version, i.due_at, c.timer
  ), cleared as (
    delete from trunkline.saga_timer t using changed where t.saga_id = changed.id and changed.timer = 'clear'
  ), armed as (
    insert into trunkline.saga_timer as t (saga_id, saga, definition_version, due_at)
    select id, saga, definition_version, due_at from changed where timer = 'after'
    on conflict (saga_id) do update set due_at = excluded.due_at
     where t.due_at > excluded.due_at or t.due_at <= trunkline.now()
  )
  select count(*) as saved from changed`

const historySql = `
  insert into trunkline.saga_history (saga_id, seq, status, input, effects)
  select id, seq, status, input::json, effects::json
    from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[]) as entry (id, seq, status, input, effects)`

// The lock is the instance's, never the timer row's: a reply locks the instance first, so the other order would deadlock.
// "due" is read from the row that was locked, which may be newer than the timer row seen by the snapshot.
const claimSql = `
  select ${columns}, coalesce(i.due_at <= trunkline.now(), false) as due
    from trunkline.saga_instance i
   where i.id in (
     select t.saga_id
       from unnest($1::text[], $2::integer[]) as runnable (saga, version)
       join trunkline.saga_timer t on t.saga = runnable.saga and t.definition_version = runnable.version
      where t.due_at <= trunkline.now()
      order by t.due_at
      limit $3)
   order by i.id
     for update skip locked`

const rearmSql = `
  with ended as (
    delete from trunkline.saga_timer t using trunkline.saga_instance i
     where i.id = any($1::uuid[]) and t.saga_id = i.id and i.due_at is null
  )
  update trunkline.saga_timer t set due_at = i.due_at
    from trunkline.saga_instance i
   where i.id = any($1::uuid[]) and t.saga_id = i.id and i.due_at is not null`

const postponeSql = `
  with postponed as (
    update trunkline.saga_instance i set due_at = trunkline.now() + $2::float8 * interval '1 millisecond'
     where i.id = any($1::uuid[])
    returning i.id, i.due_at
  )
  update trunkline.saga_timer t set due_at = postponed.due_at from postponed where t.saga_id = postponed.id`
