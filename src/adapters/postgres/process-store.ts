import type { ProcessRow, ProcessStore } from '../../core/consume/process-store.ts'
import type { Queryable } from '../../core/database/database.ts'

export class PostgresProcessStore implements ProcessStore {
  readonly #outside: Queryable

  constructor({ outside }: { readonly outside: Queryable }) {
    this.#outside = outside
  }

  async beat({ id, service, host, pid, groups, paused, handles }: ProcessRow, leaseMs: number): Promise<readonly string[]> {
    const { rows } = await this.#outside.query(beatSql, [id, service, host, pid, groups, paused, leaseMs, JSON.stringify(handles)])
    return rows[0]?.['wanted'] ?? []
  }

  async isAlive(id: string): Promise<boolean> {
    return (await this.#outside.query(aliveSql, [id])).rowCount === 1
  }

  async end(id: string): Promise<void> {
    await this.#outside.query('delete from trunkline.process where id = $1', [id])
  }

  async prune(): Promise<number> {
    return (await this.#outside.query(pruneSql)).rowCount
  }
}

// A row that was pruned, because the machine slept for long, comes back; so does what a person took for given up
// meanwhile. That is said behind the lock of the process's own row, which `group forget` takes too.
const beatSql = `
  with beat as (
    insert into trunkline.process (id, service, host, pid, groups, paused, expires_at, handles)
    values ($1, $2, $3, $4, $5::text[], $6::text[], trunkline.now() + $7::int * interval '1 millisecond', $8::jsonb)
    on conflict (id) do update set paused = excluded.paused, expires_at = excluded.expires_at
    returning handles
  ), handled as (
    insert into trunkline.group_handles (consumer_group, name)
    select of_group.key, name
      from beat, jsonb_each(beat.handles) as of_group, jsonb_array_elements_text(of_group.value) as name
    on conflict do nothing
  )
  select coalesce(array_agg(consumer_group), '{}') as wanted from trunkline.group_pause where consumer_group = any ($5::text[])`

const aliveSql = 'select from trunkline.process where id = $1 and expires_at > trunkline.now()'

const pruneSql = `delete from trunkline.process where expires_at < trunkline.now() - interval '1 hour'`
