import type { Database, Queryable } from '../../core/database/database.ts'
import type { InboxClaim, InboxStore, InboxTended, InboxUpkeep } from '../../core/inbox/inbox-store.ts'
import { isTrunklineError } from '../../foundation/errors.ts'

export class PostgresInboxStore<Tx> implements InboxStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async claim(tx: Tx, group: string, claims: readonly InboxClaim[]): Promise<ReadonlySet<string>> {
    if (claims.length === 0) return new Set()
    const values = [group, claims.map(({ slot }) => slot), claims.map(({ id }) => id), claims.length]
    const { rows } = await this.#database.queryable(tx).query(claimSql, values, 'often')
    const ids: unknown = rows[0]?.['ids']
    // Nearly always all of them: then they need not be told.
    if (ids === null) return new Set(claims.map(({ id }) => id))
    return new Set(typeof ids === 'string' && ids !== '' ? ids.split(' ') : [])
  }
}

// In ascending order: batches that overlap lock ids in the same order and cannot deadlock.
const claimSql = `
  with claimed as (
    insert into trunkline.inbox (consumer_group, slot, id)
    select $1, slot, id from unnest($2::bigint[], $3::uuid[]) as wanted (slot, id) order by slot, id
    on conflict do nothing
    returning id
  )
  select case when count(*) < $4::int then coalesce(string_agg(id::text, ' '), '') end as ids from claimed`

const DAY_MS = 86_400_000
/** Today's partition, and those of two days to come: clocks differ, and this may not run for a while. */
const DAYS_AHEAD = 2
const PRUNED_AT_ONCE = 5_000
/** One round forgets so many; the next one goes on. */
const PRUNED_MAX = 100_000
/** Nobody claims while they move. */
const MOVED_MAX = 20_000
/** Whoever claims waits behind us for so long at most, for each day that is to go: the more wait, the more it is worth. */
const PATIENCE_MS = 500
const PATIENCE_MS_MAX = 5_000

export class PostgresInboxUpkeep<Tx> implements InboxUpkeep {
  readonly #database: Database<Tx>
  readonly #movedMax: number
  /** Days that are to go, and the hour in which that was tried last. */
  readonly #staying = new Map<string, number>()

  /** @param movedMax rows of one day that may move at once */
  constructor(database: Database<Tx>, movedMax = MOVED_MAX) {
    this.#database = database
    this.#movedMax = movedMax
  }

  async tend(keepMs: number): Promise<InboxTended | undefined> {
    const days = await this.#inTurn(async (queryable) => (await queryable.query(daysSql, [keepMs])).rows[0])
    if (days === undefined) return undefined
    const today = Number(days['today'])
    const oldest = Number(days['oldest'])
    const known = new Set(days['known'] as readonly string[])
    const wanted = Array.from({ length: DAYS_AHEAD + 1 }, (_, index) => today + index).filter((day) => !known.has(nameOf(day)))
    const past = [...known].filter((name) => dayOf(name) < oldest)
    // In this order: what waits for a lock must not keep what needs none, and to open a day takes the one that messages
    // without a time are claimed in.
    const pruned = await this.#prune(keepMs)
    const closed = await this.#closeAll(past, Number(days['hour']), keepMs)
    for (const day of wanted) await this.#inTurn((queryable) => queryable.query(openSql, [nameOf(day), day * DAY_MS, (day + 1) * DAY_MS]))
    return { opened: wanted.length, ...closed, pruned }
  }

  /**
   * A day is looked through to its end, and whoever claims waits until it is gone: one that has to stay is not asked
   * again before the next hour.
   */
  async #closeAll(past: readonly string[], hour: number, keepMs: number): Promise<Pick<InboxTended, 'dropped' | 'moved' | 'waiting'>> {
    const due = past.filter((name) => this.#staying.get(name) !== hour)
    const empty: string[] = []
    for (const name of due) {
      this.#staying.set(name, hour)
      const emptied = await this.#inTurn((queryable) => queryable.query(emptySql, [name, keepMs, this.#movedMax]))
      if (emptied?.rows[0]?.['emptied'] === true) empty.push(name)
    }
    if (empty.length === 0) return { dropped: 0, moved: 0, waiting: 0 }
    const patienceMs = Math.min(empty.length * PATIENCE_MS, PATIENCE_MS_MAX)
    try {
      const moved = (await this.#inTurn((queryable) => this.#drop(queryable, empty, keepMs), patienceMs)) ?? []
      return { dropped: moved.length, moved: moved.reduce((sum, rows) => sum + rows, 0), waiting: empty.length - moved.length }
    } catch (error) {
      if (!isTrunklineError(error, 'DATABASE_CONFLICT')) throw error
      return { dropped: 0, moved: 0, waiting: empty.length }
    }
  }

  /** All in one transaction, because the first one takes the inbox for itself. @returns how many rows moved, for each that is gone */
  async #drop(queryable: Queryable, names: readonly string[], keepMs: number): Promise<readonly number[]> {
    const moved: number[] = []
    for (const name of names) {
      const { rows } = await queryable.query(closeSql, [name, keepMs, this.#movedMax])
      if (rows[0]?.['moved'] !== null) moved.push(Number(rows[0]?.['moved']))
    }
    return moved
  }

  async #prune(keepMs: number): Promise<number> {
    let pruned = 0
    while (pruned < PRUNED_MAX) {
      const { rowCount } = await this.#database.outside.query(pruneSql, [keepMs, PRUNED_AT_ONCE])
      pruned += rowCount
      if (rowCount < PRUNED_AT_ONCE) break
    }
    return pruned
  }

  /** @returns `undefined` when another process is at it */
  #inTurn<Result>(work: (queryable: Queryable) => Promise<Result>, patienceMs = PATIENCE_MS): Promise<Result | undefined> {
    return this.#database.transaction(async (tx) => {
      const queryable = this.#database.queryable(tx)
      // Whoever claims must not wait long for a partition to come or go; the next round tries again.
      const { rows } = await queryable.query(turnSql, [`${patienceMs}ms`])
      return rows[0]?.['mine'] === true ? await work(queryable) : undefined
    })
  }
}

function nameOf(day: number): string {
  return `inbox_${new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '')}`
}

function dayOf(name: string): number {
  const [, year, month, date] = /^inbox_(\d{4})(\d\d)(\d\d)$/.exec(name) ?? []
  return Math.floor(Date.UTC(Number(year), Number(month) - 1, Number(date)) / DAY_MS)
}

const turnSql = `
  select set_config('lock_timeout', $1, true),
         pg_try_advisory_xact_lock(hashtextextended('trunkline.inbox', 0)) as mine`

const daysSql = `
  select floor(extract(epoch from trunkline.now()) / 86400)::int as today,
         floor(extract(epoch from trunkline.now()) / 3600)::int as hour,
         floor((extract(epoch from trunkline.now()) - $1::float8 / 1000) / 86400)::int as oldest,
         (select coalesce(array_agg(relname::text), '{}')
            from pg_inherits join pg_class on pg_class.oid = inhrelid
           where inhparent = 'trunkline.inbox'::regclass and relname ~ '^inbox_[0-9]{8}$') as known`

// The role of a service may not make tables; the owner's functions do. Not every library can read a void.
const openSql = 'select trunkline.open_inbox($1, $2, $3) is null as opened'

const emptySql = `select trunkline.empty_inbox($1, $2::float8 * interval '1 millisecond', $3) as emptied`

const closeSql = `select trunkline.close_inbox($1, $2::float8 * interval '1 millisecond', $3) as moved`

const pruneSql = `
  delete from trunkline.inbox_rest
   where ctid = any (array (
           select ctid from trunkline.inbox_rest
            where handled_at < trunkline.now() - $1::float8 * interval '1 millisecond'
            order by handled_at
            limit $2))`
