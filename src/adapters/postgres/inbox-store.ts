import type { Database } from '../../core/database/database.ts'
import type { InboxStore } from '../../core/inbox/inbox-store.ts'

export class PostgresInboxStore<Tx> implements InboxStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async claim(tx: Tx, group: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set()
    const { rows } = await this.#database.queryable(tx).query(claimSql, [group, ids])
    return new Set(rows.map((row) => String(row['id'])))
  }
}

// Ids in ascending order: batches that overlap lock them in the same order and cannot deadlock.
const claimSql = `
  insert into trunkline.inbox (consumer_group, id)
  select $1, id from unnest($2::uuid[]) as claimed (id) order by id
  on conflict do nothing
  returning id`
