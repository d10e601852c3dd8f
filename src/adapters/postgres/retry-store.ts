import { unpackHeaders } from '../../core/broker/header-bytes.ts'
import type {
  Capabilities,
  FailedAttempt,
  LeasedKey,
  LeaseTerms,
  LeftSuspicion,
  QueuedMessage,
  RetryStore,
} from '../../core/consume/retry-store.ts'
import type { Database } from '../../core/database/database.ts'
import { fingerprintOf } from '../../core/failures/reason.ts'
import { newToken } from '../../foundation/ids.ts'
import { storableText } from './storable-text.ts'

export class PostgresRetryStore<Tx> implements RetryStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async lease({ group, names, schemas }: Capabilities, { limit, leaseMs, by, tokens }: LeaseTerms): Promise<readonly LeasedKey[]> {
    const token = newToken()
    const { rows } = await this.#database.outside.query(leaseSql, [group, names, schemas, limit, token, leaseMs, by, tokens])
    return rows.map((row) => ({
      group,
      topic: String(row['topic']),
      hash: row['key_hash'],
      key: row['key'],
      token,
      leftBehind: row['left_behind'] === true,
      diedAlone: row['died_alone'] === true,
    }))
  }

  async dueIn(group: string): Promise<number | undefined> {
    const { rows } = await this.#database.outside.query(dueInSql, [group])
    const ms: unknown = rows[0]?.['ms']
    return typeof ms === 'number' ? Math.max(0, Math.ceil(ms)) : undefined
  }

  async peek(key: LeasedKey, limits: { readonly messages: number; readonly bytes: number }): Promise<readonly QueuedMessage[]> {
    const { rows } = await this.#database.outside.query(peekSql, [...nameOf(key), limits.messages, limits.bytes])
    return rows.map(toQueued)
  }

  async take(tx: Tx, key: LeasedKey, messages: readonly QueuedMessage[]): Promise<boolean> {
    const queryable = this.#database.queryable(tx)
    // Two statements in one round trip; the second one's snapshot is newer than the lock.
    const locking = queryable.query(key.leftBehind ? lockSuspectSql : lockSql, [...nameOf(key), key.token])
    const taking = queryable.query(takeSql, [...nameOf(key), key.token, messages.map(({ seq }) => seq)])
    await Promise.allSettled([locking, taking])
    const [locked, taken] = [await locking, await taking]
    return locked.rowCount === 1 && taken.rowCount === messages.length
  }

  async takeAll(tx: Tx, key: LeasedKey, messages: readonly QueuedMessage[]): Promise<boolean> {
    const queryable = this.#database.queryable(tx)
    const locking = queryable.query(lockForUpdateSql, [...nameOf(key), key.token])
    const taking = queryable.query(takeSql, [...nameOf(key), key.token, messages.map(({ seq }) => seq)])
    const deleting = queryable.query(deleteKeySql, [...nameOf(key), key.token])
    await Promise.allSettled([locking, taking, deleting])
    const [, taken, deleted] = [await locking, await taking, await deleting]
    return taken.rowCount === messages.length && deleted.rowCount === 1
  }

  async fail(tx: Tx, key: LeasedKey, { seq, attempts, reason, fate }: FailedAttempt): Promise<boolean> {
    const queryable = this.#database.queryable(tx)
    const { cause } = reason
    const entry = { attempt: attempts, code: storableText(reason.code), reason: storableText(reason.text.slice(0, REASON_CHARACTERS_MAX)) }
    const locking = queryable.query(lockSql, [...nameOf(key), key.token])
    const failing = queryable.query(failSql, [
      ...nameOf(key),
      key.token,
      seq,
      attempts,
      fate.state,
      fate.queued,
      storableText(reason.code),
      storableText(reason.text),
      cause === null ? null : storableText(cause),
      cause === null ? null : fingerprintOf(cause),
      JSON.stringify(entry),
    ])
    const returning = queryable.query(giveBackSql, [...nameOf(key), key.token, fate.delayMs, 'none'])
    await Promise.allSettled([locking, failing, returning])
    const [locked, failed] = [await locking, await failing, await returning]
    return locked.rowCount === 1 && failed.rowCount === 1
  }

  async giveBack(key: LeasedKey, delayMs: number, suspicion: LeftSuspicion = 'none'): Promise<void> {
    await this.#database.outside.query(giveBackSql, [...nameOf(key), key.token, delayMs, suspicion])
  }

  async runAlone(key: LeasedKey): Promise<boolean> {
    return (await this.#database.outside.query(aloneSql, [...nameOf(key), key.token])).rowCount === 1
  }

  async renew(key: LeasedKey, leaseMs: number): Promise<boolean> {
    const { rowCount } = await this.#database.outside.query(renewSql, [...nameOf(key), key.token, leaseMs])
    return rowCount === 1
  }

  async forgetDiscarded(group: string, olderThanMs: number): Promise<number> {
    return (await this.#database.outside.query(forgetSql, [group, olderThanMs])).rowCount
  }

  async unpark(key: LeasedKey): Promise<boolean> {
    return await this.#database.transaction(
      async (tx) => {
        const queryable = this.#database.queryable(tx)
        const locking = queryable.query(lockForUpdateSql, [...nameOf(key), key.token])
        const deleting = queryable.query(deleteKeySql, [...nameOf(key), key.token])
        await Promise.allSettled([locking, deleting])
        await locking
        return (await deleting).rowCount === 1
      },
      { rerunsWhenUnknown: true },
    )
  }
}

/** Of one entry of a message's history; the last one is whole. */
const REASON_CHARACTERS_MAX = 500

/** In the order of the statements' first three parameters. */
function nameOf({ group, topic, hash }: LeasedKey): readonly unknown[] {
  return [group, topic, hash]
}

function toQueued(row: Readonly<Record<string, unknown>>): QueuedMessage {
  // The rows were written by the parking store; bytes are what they are.
  const bytes = (name: string): Buffer | null => row[name] as Buffer | null
  return {
    seq: BigInt(String(row['seq'])),
    inboxId: String(row['id']),
    attempts: Number(row['attempts']),
    place: { topic: String(row['topic']), partition: Number(row['partition']) },
    record: {
      offset: BigInt(String(row['record_offset'])),
      key: bytes('record_key'),
      value: bytes('record_value'),
      headers: unpackHeaders(bytes('record_headers') ?? Buffer.alloc(0)),
      timestampMs: Number(row['record_timestamp_ms']),
    },
  }
}

// No key update: "for update" would pass over every key that is being appended to. Keys with an empty queue are taken
// too: somebody died between the last message and the key's end. What this process cannot run is left to others.
// What is suspected stays until it is settled: whoever takes the key may have to stop before it could run.
const leaseSql = `
  with due as materialized (
    select k.consumer_group, k.topic, k.key_hash,
           head.reason_code is not distinct from 'PROCESS_ENDED' or k.suspect or k.lease_alone
             or k.lease_token is not null and k.lease_by is distinct from $7::uuid as left_behind,
           k.lease_alone as died_alone
      from trunkline.parked_key k
      left join lateral (
        select m.state, m.name, m.schema, m.reason_code
          from trunkline.parked_message m
         where m.consumer_group = k.consumer_group and m.key_topic = k.topic and m.key_hash = k.key_hash
         order by m.seq
         limit 1
      ) head on true
     where k.consumer_group = $1
       and k.due <= (select trunkline.now())
       and (k.lease_token is null
            or (k.lease_by = $7::uuid and k.lease_token <> all ($8::uuid[]))
            or (k.lease_until <= (select trunkline.now())
                and not exists (select from trunkline.process p where p.id = k.lease_by and p.expires_at > (select trunkline.now()))))
       and (head.state is null
            or (head.state = 'waiting'
                and (head.name is null or head.name = any ($2::text[]))
                and (head.schema is null or head.schema = any ($3::text[]))))
     order by k.due
     limit $4
       for no key update of k skip locked
  )
  update trunkline.parked_key k
     set lease_token = $5, lease_by = $7, lease_until = trunkline.now() + $6::float8 * interval '1 millisecond',
         suspect = due.left_behind
    from due
   where k.consumer_group = due.consumer_group and k.topic = due.topic and k.key_hash = due.key_hash
  returning k.topic, k.key_hash, k.key, due.left_behind, due.died_alone`

const dueInSql = `
  select (extract(epoch from min(due) - trunkline.now()) * 1000)::float8 as ms
    from trunkline.parked_key
   where consumer_group = $1 and due > (select trunkline.now()) and due < 'infinity'`

const peekSql = `
  select seq, id, attempts, topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms
    from (
      select m.*, sum(bytes) over before as bytes_before, bool_and(state = 'waiting') over up_to as runs
        from (
          select * from trunkline.parked_message
           where consumer_group = $1 and key_topic = $2 and key_hash = $3
           order by seq
           limit $4
        ) m
      window up_to as (order by seq), before as (order by seq rows between unbounded preceding and 1 preceding)
    ) queue
   where runs and (bytes_before is null or bytes_before < $5::bigint)
   order by seq`

const lockSql = `
  select from trunkline.parked_key
   where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4
     for no key update`

// The same lock. What was noted of the message goes with its commit: a process that dies between that and giving the key
// back did not die of the message behind it.
const lockSuspectSql = `
  update trunkline.parked_key set lease_alone = false, suspect = false
   where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4`

const lockForUpdateSql = `
  select from trunkline.parked_key
   where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4
     for update`

// Only the first ones of the queue: a message that a person put back may stand before them by now.
const takeSql = `
  delete from trunkline.parked_message taken
   where taken.consumer_group = $1 and taken.key_topic = $2 and taken.key_hash = $3
     and taken.seq = any ($5::bigint[])
     and taken.state = 'waiting'
     and exists (select from trunkline.parked_key
                  where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4)
     and not exists (select from trunkline.parked_message earlier
                      where earlier.consumer_group = $1 and earlier.key_topic = $2 and earlier.key_hash = $3
                        and earlier.seq < taken.seq and earlier.seq <> all ($5::bigint[]))`

const deleteKeySql = `
  delete from trunkline.parked_key k
   where k.consumer_group = $1 and k.topic = $2 and k.key_hash = $3 and k.lease_token = $4
     and not exists (select from trunkline.parked_message m
                      where m.consumer_group = $1 and m.key_topic = $2 and m.key_hash = $3)`

// The count that was read is the one that is raised: two who failed at once are one failure. Of the history the last 50 stay.
const failSql = `
  update trunkline.parked_message
     set attempts = $6, state = $7,
         key_topic = case when $8 then key_topic end, key_hash = case when $8 then key_hash end,
         reason_code = $9, reason = $10, cause = $11, fingerprint = $12,
         timeline = case when jsonb_array_length(timeline) >= 50 then timeline - 0 else timeline end
                    || (jsonb_build_object('at', trunkline.now(), 'fingerprint', $12::text) || $13::jsonb)
   where consumer_group = $1 and key_topic = $2 and key_hash = $3 and seq = $5
     and state = 'waiting' and attempts = $6 - 1
     and exists (select from trunkline.parked_key
                  where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4)`

// A dead message at the head holds the key: nothing is due until a person acts.
const giveBackSql = `
  update trunkline.parked_key k
     set lease_token = null, lease_by = null, lease_until = '-infinity',
         suspect = suspect and $6 <> 'none', lease_alone = lease_alone and $6 = 'died alone',
         due = case when (select state from trunkline.parked_message m
                           where m.consumer_group = $1 and m.key_topic = $2 and m.key_hash = $3
                           order by seq limit 1) = 'dead'
                    then 'infinity'::timestamptz
                    else trunkline.now() + $5::float8 * interval '1 millisecond' end
   where k.consumer_group = $1 and k.topic = $2 and k.key_hash = $3 and k.lease_token = $4`

const aloneSql = `
  update trunkline.parked_key set lease_alone = true
   where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4`

const renewSql = `
  update trunkline.parked_key
     set lease_until = trunkline.now() + $5::float8 * interval '1 millisecond'
   where consumer_group = $1 and topic = $2 and key_hash = $3 and lease_token = $4`

// The state is asked twice: a person may be taking the discard back, and of a row that was waited for only this is looked at again.
const forgetSql = `
  delete from trunkline.parked_message
   where state = 'discarded'
     and seq in (select seq from trunkline.parked_message
                  where state = 'discarded' and consumer_group = $1
                    and discarded_at < trunkline.now() - $2::float8 * interval '1 millisecond'
                  order by discarded_at
                  limit 1000)`
