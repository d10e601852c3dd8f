import type { Database } from '../../core/database/database.ts'
import type { FailureReference, FailureState, FailureStore } from '../../core/failures/failure-store.ts'

export class PostgresFailureStore<Tx> implements FailureStore<Tx> {
  readonly #database: Pick<Database<Tx>, 'queryable' | 'outside'>

  constructor(database: Pick<Database<Tx>, 'queryable' | 'outside'>) {
    this.#database = database
  }

  async redrive(tx: Tx, { group, id }: FailureReference): Promise<FailureState | undefined> {
    return await this.#act(tx, [upsertKeySql, readSql, redriveSql, dueSql], [group, id])
  }

  async discard(tx: Tx, { group, id }: FailureReference): Promise<FailureState | undefined> {
    return await this.#act(tx, [lockKeySql, readSql, discardSql, dueSql], [group, id])
  }

  async restore(tx: Tx, { group, id }: FailureReference): Promise<FailureState | undefined> {
    return await this.#act(tx, [upsertKeyOfDiscardedSql, readDiscardedSql, restoreSql, dueSql], [group, id])
  }

  async look(failures: readonly FailureReference[]): Promise<readonly FailureState[]> {
    if (failures.length === 0) return []
    const { rows } = await this.#database.outside.query(lookSql, [failures.map(({ group }) => group), failures.map(({ id }) => id)])
    return rows.map(toState)
  }

  /**
   * The key first, then its message; each statement sees what the one before it waited for.
   *
   * The last statement makes the key due: whatever stands first in its queue now may run, or a queue without messages is
   * closed by a worker.
   */
  async #act(
    tx: Tx,
    [key, read, change, due]: readonly [string, string, string, string],
    name: readonly string[],
  ): Promise<FailureState | undefined> {
    const queryable = this.#database.queryable(tx)
    const locked = queryable.query(key, name)
    const reading = queryable.query(read, name)
    const changing = queryable.query(change, name)
    await Promise.allSettled([locked, reading, changing])
    const [{ rows: keys }, { rows }, { rowCount }] = [await locked, await reading, await changing]
    const [row] = rows
    if (row === undefined || rowCount === 0) return undefined
    const [parked] = keys
    if (parked !== undefined) await queryable.query(due, [name[0], parked['topic'], parked['key_hash']])
    return toState(row)
  }
}

function toState(row: Readonly<Record<string, unknown>>): FailureState {
  return {
    group: String(row['consumer_group']),
    id: String(row['id']),
    // A check of the table allows no other.
    state: row['state'] as FailureState['state'],
    attempts: Number(row['attempts']),
    fingerprint: typeof row['fingerprint'] === 'string' ? row['fingerprint'] : null,
  }
}

/** The key that a message waits in, or would: that of its record, or the message itself. */
const keyHash = `case when alone then decode(replace(id::text, '-', ''), 'hex') else sha256(record_key) end`

const upsertKey = (states: string): string => `
  insert into trunkline.parked_key (consumer_group, topic, key_hash, key)
  select consumer_group, topic, ${keyHash}, case when alone then null else record_key end
    from trunkline.parked_message
   where consumer_group = $1 and id = $2 and ${states}
  on conflict (consumer_group, topic, key_hash) do update set due = excluded.due
  returning topic, key_hash`

const upsertKeySql = upsertKey(`state in ('waiting', 'dead')`)

const upsertKeyOfDiscardedSql = upsertKey(`state = 'discarded' and discarded_from_queue`)

// Without a row there is no queue to lock: the message stands beside it.
const lockKeySql = `
  select k.topic, k.key_hash
    from trunkline.parked_key k
    join trunkline.parked_message m
      on m.consumer_group = k.consumer_group and m.key_topic = k.topic and m.key_hash = k.key_hash
   where m.consumer_group = $1 and m.id = $2
     for no key update of k`

const columns = 'consumer_group, id, state, attempts, fingerprint'

const readSql = `
  select ${columns} from trunkline.parked_message where consumer_group = $1 and id = $2 and state in ('waiting', 'dead') for update`

const readDiscardedSql = `
  select ${columns} from trunkline.parked_message where consumer_group = $1 and id = $2 and state = 'discarded' for update`

// At its old place: the number that orders the queue stays. So does the id, which has long been claimed.
const redriveSql = `
  update trunkline.parked_message
     set state = 'waiting', attempts = 0, key_topic = topic, key_hash = ${keyHash}
   where consumer_group = $1 and id = $2 and state in ('waiting', 'dead')`

const discardSql = `
  update trunkline.parked_message
     set state = 'discarded', discarded_at = trunkline.now(), discarded_from_queue = key_hash is not null, key_topic = null, key_hash = null
   where consumer_group = $1 and id = $2 and state in ('waiting', 'dead')`

const restoreSql = `
  update trunkline.parked_message
     set state = 'dead', discarded_at = null, discarded_from_queue = false,
         key_topic = case when discarded_from_queue then topic end,
         key_hash = case when discarded_from_queue then ${keyHash} end
   where consumer_group = $1 and id = $2 and state = 'discarded'`

// A dead message at the head holds the key: nothing is due until a person acts.
const dueSql = `
  update trunkline.parked_key k
     set due = case when (select state from trunkline.parked_message m
                           where m.consumer_group = $1 and m.key_topic = $2 and m.key_hash = $3
                           order by seq limit 1) = 'dead'
                    then 'infinity'::timestamptz
                    else trunkline.now() end
   where k.consumer_group = $1 and k.topic = $2 and k.key_hash = $3`

const lookSql = `
  select m.consumer_group, m.id, m.state, m.attempts, m.fingerprint
    from unnest($1::text[], $2::uuid[]) as wanted (consumer_group, id)
    join trunkline.parked_message m using (consumer_group, id)`
