import { hash } from 'node:crypto'
import { packHeaders } from '../../core/broker/header-bytes.ts'
import type { ParkedMessage, ParkingStore } from '../../core/consume/parking-store.ts'
import type { Database } from '../../core/database/database.ts'
import { fingerprintIn, framingOf } from '../../core/envelope/framing.ts'
import { fingerprintOf } from '../../core/failures/reason.ts'
import { storableText } from './storable-text.ts'

/** To name so many keys costs less than to ask first whether any key is parked. */
const FEW_KEYS = 16
/** Far beyond every delay, and still a date. */
const DELAY_MS_MAX = 3_650 * 86_400_000

export class PostgresParkingStore<Tx> implements ParkingStore<Tx> {
  readonly #database: Database<Tx>
  /** By group, the topics in which keys were parked when somebody looked last. */
  readonly #holding = new Map<string, Set<string>>()

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async lockParked(tx: Tx, place: { readonly group: string; readonly topic: string }, keys: readonly Buffer[]): Promise<readonly Buffer[]> {
    if (keys.length === 0) return []
    const { group, topic } = place
    if (keys.length > FEW_KEYS && !(await this.#mayHold(tx, group, topic))) return []
    // As text: it takes a third of the time, here and in the driver.
    const hashes = keys.map((key) => hash('sha256', key, 'hex'))
    const { rows } = await this.#database.queryable(tx).query(lockSql, [group, topic, hashes], 'often')
    return rows.map((row) => row['key'])
  }

  /**
   * Mostly nothing is parked; then a batch need not name all its keys. Where something was, a batch does not wait for the
   * answer: it says whether the next one need name them.
   */
  #mayHold(tx: Tx, group: string, topic: string): true | Promise<boolean> {
    const topics = this.#holding.get(group) ?? new Set()
    this.#holding.set(group, topics)
    const asked = this.#database
      .queryable(tx)
      .query(anySql, [group, topic], 'often')
      .then(({ rowCount }) => {
        if (rowCount === 0) topics.delete(topic)
        else topics.add(topic)
        return rowCount > 0
      })
    if (!topics.has(topic)) return asked
    // If it fails, so does everything behind it.
    asked.catch(() => undefined)
    return true
  }

  async park(tx: Tx, messages: readonly ParkedMessage[]): Promise<void> {
    const [first] = messages
    if (first === undefined) return
    const queryable = this.#database.queryable(tx)
    const queued = firstOfEachKey(messages.filter((message) => message.queued))
    // In one round trip. The messages lock their keys: one that was taken away in between makes it a conflict.
    const asked = [
      ...(queued.length === 0 ? [] : [queryable.query(parkKeysSql, [first.group, ...keyColumnsOf(queued)], 'often')]),
      queryable.query(parkSql, [first.group, ...columnsOf(messages)], 'often'),
    ]
    await Promise.allSettled(asked)
    await Promise.all(asked)
  }

  async load(tx: Tx, group: string): Promise<{ readonly rows: number; readonly bytes: number }> {
    const { rows } = await this.#database.queryable(tx).query(loadSql, [group])
    return { rows: Number(rows[0]?.['rows']), bytes: Number(rows[0]?.['bytes']) }
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

/** It decides when its key is due. */
function firstOfEachKey(messages: readonly ParkedMessage[]): readonly ParkedMessage[] {
  return [...new Map(messages.toReversed().map((message) => [nameOf(message.key), message])).values()]
}

function nameOf({ topic, hash }: { readonly topic: string; readonly hash: Buffer }): string {
  return `${hash.toString('hex')} ${topic}`
}

function keyColumnsOf(messages: readonly ParkedMessage[]): unknown[] {
  return [
    messages.map(({ key }) => key.topic),
    messages.map(({ key }) => key.hash),
    messages.map(({ key }) => key.key),
    messages.map(({ state, delayMs }) => (state === 'dead' ? null : Math.min(delayMs, DELAY_MS_MAX))),
  ]
}

/** In the order of the statement's parameters. */
function columnsOf(messages: readonly ParkedMessage[]): unknown[] {
  return [
    messages.map(({ inboxId }) => inboxId),
    messages.map(({ type }) => storableText(type)),
    messages.map(({ name }) => (name === null ? null : storableText(name))),
    messages.map(({ record }) => schemaOf(record.value)),
    messages.map(({ queued, key }) => (queued ? key.topic : null)),
    messages.map(({ queued, key }) => (queued ? key.hash : null)),
    messages.map(({ key }) => key.key === null),
    messages.map(({ state }) => state),
    messages.map(({ attempts }) => attempts),
    messages.map(({ reason }) => storableText(reason.code)),
    messages.map(({ reason }) => storableText(reason.text)),
    messages.map(({ reason }) => (reason.cause === null ? null : storableText(reason.cause))),
    messages.map(({ reason }) => (reason.cause === null ? null : fingerprintOf(reason.cause))),
    messages.map(({ place }) => place.topic),
    messages.map(({ place }) => place.partition),
    messages.map(({ record }) => record.offset),
    messages.map(({ record }) => record.key),
    messages.map(({ record }) => record.value),
    messages.map(({ record }) => packHeaders(record.headers)),
    messages.map(({ record }) => storableMs(record.timestampMs)),
  ]
}

/** What a build must know to read the value. */
function schemaOf(value: Buffer | null): string | null {
  return value !== null && framingOf(value) === 'single-object' ? fingerprintIn(value) : null
}

/** Any 64 bits can stand in a record; beyond 2^53 a number is not exact anyhow. */
function storableMs(ms: number): bigint {
  const { MIN_SAFE_INTEGER: min, MAX_SAFE_INTEGER: max } = Number
  return BigInt(Math.trunc(Math.min(max, Math.max(min, ms))) || 0)
}

// Keys in ascending order, here and below: transactions that overlap take turns and cannot deadlock.
// Key share: appends go side by side, and nobody can delete the key row until they are committed.
// A list of values, not a join: one plan does for a table that is empty and for one that is large.
const lockSql = `
  select key from trunkline.parked_key
   where consumer_group = $1 and topic = $2 and key_hash = any (array (select decode(hash, 'hex') from unnest($3::text[]) as wanted (hash)))
   order by key_hash
     for key share`

const anySql = `
  select from trunkline.parked_key where consumer_group = $1 and topic = $2 limit 1`

// A dead message holds its key: nothing is due until a person acts.
const parkKeysSql = `
  insert into trunkline.parked_key (consumer_group, topic, key_hash, key, due)
  select $1, topic, key_hash, key, coalesce(trunkline.now() + delay_ms * interval '1 millisecond', 'infinity')
    from unnest($2::text[], $3::bytea[], $4::bytea[], $5::float8[]) as parked (topic, key_hash, key, delay_ms)
   order by topic, key_hash
  on conflict do nothing`

// The number that orders a queue is given in the order of the list.
// One that is kept for longer than the inbox remembers it may be sent again: it has its place, and its partition goes on.
const parkSql = `
  insert into trunkline.parked_message (
    consumer_group, id, type, name, schema, key_topic, key_hash, alone, state, attempts, reason_code, reason, cause, fingerprint,
    topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms, timeline)
  select $1, id, type, name, schema, key_topic, key_hash, alone, state, attempts, reason_code, reason, cause, fingerprint,
         topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms,
         case when cause is null then '[]'::jsonb
              else jsonb_build_array(jsonb_build_object('at', trunkline.now(), 'attempt', attempts, 'code', reason_code,
                                                        'reason', left(reason, 500), 'fingerprint', fingerprint)) end
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::boolean[], $9::text[], $10::int[],
                $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::int[], $17::bigint[], $18::bytea[],
                $19::bytea[], $20::bytea[], $21::bigint[])
         with ordinality as parked (
           id, type, name, schema, key_topic, key_hash, alone, state, attempts, reason_code, reason, cause, fingerprint,
           topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms, place)
   order by place
  on conflict (consumer_group, id) do nothing`

// From an index that holds the sizes: the rows are not read.
const loadSql = `
  select count(*) as rows, coalesce(sum(bytes), 0) as bytes
    from trunkline.parked_message
   where consumer_group = $1 and state <> 'discarded'`

const registerSql = `
  insert into trunkline.group_handles (consumer_group, name)
  select $1, name from unnest($2::text[]) as handled (name)
  on conflict do nothing`

const handledSql = `
  select name from trunkline.group_handles where consumer_group = $1 and name = any($2::text[])`
