import { packHeaders } from '../../core/broker/header-bytes.ts'
import type { KeyReference, ParkedMessage, ParkingStore } from '../../core/consume/parking-store.ts'
import type { Database } from '../../core/database/database.ts'
import { ConflictError } from '../../foundation/errors.ts'
import { storableText } from './storable-text.ts'

/** A worker can take the key away between the insert and the lock; more often than this it is not a race. */
const ATTEMPTS_MAX = 20

export class PostgresParkingStore<Tx> implements ParkingStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async lockParked(tx: Tx, place: { readonly group: string; readonly topic: string }, keys: readonly Buffer[]): Promise<readonly Buffer[]> {
    if (keys.length === 0) return []
    const { rows } = await this.#database.queryable(tx).query(lockSql, [place.group, place.topic, keys])
    return rows.map((row) => row['key'])
  }

  async park(tx: Tx, messages: readonly ParkedMessage[]): Promise<void> {
    if (messages.length === 0) return
    await this.#parkKeys(tx, keysOf(messages))
    await this.#database
      .queryable(tx)
      .query(parkSql, [
        messages.map(({ group }) => group),
        messages.map(({ inboxId }) => inboxId),
        messages.map(({ key }) => key?.topic ?? null),
        messages.map(({ key }) => key?.key ?? null),
        messages.map(({ state }) => state),
        messages.map(({ attempts }) => attempts),
        messages.map(({ reasonCode }) => storableText(reasonCode)),
        messages.map(({ reason }) => storableText(reason)),
        messages.map(({ place }) => place.topic),
        messages.map(({ place }) => place.partition),
        messages.map(({ record }) => record.offset),
        messages.map(({ record }) => record.key),
        messages.map(({ record }) => record.value),
        messages.map(({ record }) => packHeaders(record.headers)),
        messages.map(({ record }) => storableMs(record.timestampMs)),
      ])
  }

  async #parkKeys(tx: Tx, keys: readonly KeyReference[]): Promise<void> {
    if (keys.length === 0) return
    const values = [keys.map(({ group }) => group), keys.map(({ topic }) => topic), keys.map(({ key }) => key)]
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.#database.queryable(tx).query(parkKeysSql, values)
      const { rowCount } = await this.#database.queryable(tx).query(holdKeysSql, values)
      if (rowCount === keys.length) return
    }
    throw new ConflictError('KEY_UNPARKED', 'A key was unparked again and again while a message was queued behind it. Run it again.')
  }

  async registerHandled(group: string, names: readonly string[]): Promise<void> {
    await this.#database.outside.query(registerSql, [group, names])
  }

  async handledByGroup(tx: Tx, group: string, names: readonly string[]): Promise<ReadonlySet<string>> {
    if (names.length === 0) return new Set()
    const { rows } = await this.#database.queryable(tx).query(handledSql, [group, names])
    return new Set(rows.map((row) => String(row['name'])))
  }
}

/** Each key once. */
function keysOf(messages: readonly ParkedMessage[]): KeyReference[] {
  const keys = messages.flatMap(({ key }) => key ?? [])
  return [...new Map(keys.map((key) => [`${key.topic} ${key.key.toString('latin1')}`, key])).values()]
}

/** Any 64 bits can stand in a record; beyond 2^53 a number is not exact anyhow. */
function storableMs(ms: number): bigint {
  const { MIN_SAFE_INTEGER: min, MAX_SAFE_INTEGER: max } = Number
  return BigInt(Math.trunc(Math.min(max, Math.max(min, ms))) || 0)
}

// Key share: appends go side by side, and nobody can delete the key row until they are committed.
const lockSql = `
  select key from trunkline.parked_key
   where consumer_group = $1 and topic = $2
     and key_hash = any (select sha256(wanted) from unnest($3::bytea[]) as each (wanted))
   order by key_hash
     for key share`

const parkKeysSql = `
  insert into trunkline.parked_key (consumer_group, topic, key_hash, key)
  select k.consumer_group, k.topic, sha256(k.key), k.key
    from unnest($1::text[], $2::text[], $3::bytea[]) as k (consumer_group, topic, key)
   order by k.topic, sha256(k.key)
  on conflict do nothing`

const holdKeysSql = `
  select from trunkline.parked_key as parked
   where (parked.consumer_group, parked.topic, parked.key_hash) in (
           select k.consumer_group, k.topic, sha256(k.key)
             from unnest($1::text[], $2::text[], $3::bytea[]) as k (consumer_group, topic, key))
   order by parked.topic, parked.key_hash
     for key share`

// One statement: the sequence numbers follow the order of the list.
const parkSql = `
  insert into trunkline.parked_message (
    consumer_group, id, key_topic, key_hash, state, attempts, reason_code, reason,
    topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms)
  select m.consumer_group, m.id, m.key_topic, sha256(m.key), m.state, m.attempts, m.reason_code, m.reason,
         m.topic, m.partition, m.record_offset, m.record_key, m.record_value, m.record_headers, m.record_timestamp_ms
    from unnest($1::text[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::int[], $11::bigint[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bigint[])
           with ordinality as m (consumer_group, id, key_topic, key, state, attempts, reason_code, reason,
             topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms, position)
   order by m.position`

const registerSql = `
  insert into trunkline.group_handles (consumer_group, name)
  select $1, name from unnest($2::text[]) as handled (name)
  on conflict do nothing`

const handledSql = `
  select name from trunkline.group_handles where consumer_group = $1 and name = any ($2::text[])`
