import { packHeaders, unpackHeaders } from '../../../core/broker/header-bytes.ts'
import type { ConsumedRecord } from '../../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../../core/broker/log-producer.ts'
import type { Queryable } from '../../../core/database/database.ts'
import type { FailureReference, FailureState } from '../../../core/failures/failure-store.ts'

/** Which kept messages; a field that is absent fits all. */
export interface FailureFilter {
  readonly group?: string | undefined
  readonly states: readonly FailureState['state'][]
  /** With or without its version. */
  readonly type?: string | undefined
  /** A fingerprint, or its beginning. */
  readonly cause?: string | undefined
  readonly key?: Buffer | undefined
  /** Parked within so many milliseconds before now. */
  readonly sinceMs?: number | undefined
  /** Parked longer ago than so many milliseconds. */
  readonly untilMs?: number | undefined
  /** Inbox ids, or their beginnings. */
  readonly ids?: readonly string[] | undefined
}

/** A kept message in a list. */
export interface FailureRow extends FailureState {
  readonly seq: bigint
  readonly type: string
  readonly key: Buffer | null
  readonly place: TopicPartition
  readonly offset: bigint
  readonly code: string | null
  readonly cause: string | null
  readonly ageMs: number
  /** Messages that wait behind it in its key's queue. */
  readonly behind: number
  /** Whether it is the first of its key's queue. */
  readonly head: boolean
}

/** A kept message with everything that is known of it. */
export interface FailureDetail extends FailureRow {
  readonly reason: string | null
  readonly record: ConsumedRecord
  readonly parkedAt: Date
  readonly discardedAt: Date | null
  /** The next attempt; `null` when none will happen by itself. */
  readonly dueAt: Date | null
  readonly timeline: readonly FailureAttempt[]
}

export interface FailureAttempt {
  readonly at: Date
  readonly attempt: number
  readonly code: string
  readonly reason: string
  readonly fingerprint: string | null
}

/** Failures of one cause. */
export interface FailureCause {
  readonly group: string
  readonly fingerprint: string
  readonly cause: string
  readonly dead: number
  readonly waiting: number
  readonly discarded: number
  /** Keys that one of them holds. */
  readonly heldKeys: number
  readonly oldestMs: number
  readonly newestMs: number
  readonly example: string
}

/** Lists kept messages in the order in which they were parked. @returns at most `limit` rows */
export async function listFailures(database: Queryable, filter: FailureFilter, limit: number): Promise<readonly FailureRow[]> {
  const { rows } = await database.query(listSql, [...valuesOf(filter), limit])
  return rows.map(toRow)
}

/**
 * Finds kept messages by the id in their envelope, which is what logs name: each group that kept one has its own.
 *
 * @returns at most `limit` rows; none for a record whose headers were not kept
 */
export async function findByMessageId(database: Queryable, messageId: string, limit: number): Promise<readonly FailureRow[]> {
  const { rows } = await database.query(byMessageIdSql, [packHeaders([['ce_id', Buffer.from(messageId)]]), limit])
  return rows.map(toRow)
}

/** The record, the reason and the history of one message. @returns `undefined` when it is not kept */
export async function readFailure(database: Queryable, { group, id }: FailureReference): Promise<FailureDetail | undefined> {
  const { rows } = await database.query(readSql, [group, id])
  const [row] = rows
  return row === undefined ? undefined : toDetail(row)
}

/** Groups kept messages by what they failed for, the most frequent first. @returns at most `limit` causes */
export async function listCauses(database: Queryable, filter: FailureFilter, limit: number): Promise<readonly FailureCause[]> {
  const { rows } = await database.query(causesSql, [...valuesOf(filter), limit])
  return rows.map((row) => ({
    group: String(row['consumer_group']),
    fingerprint: String(row['fingerprint']),
    cause: String(row['cause']),
    dead: Number(row['dead']),
    waiting: Number(row['waiting']),
    discarded: Number(row['discarded']),
    heldKeys: Number(row['held_keys']),
    oldestMs: Number(row['oldest_ms']),
    newestMs: Number(row['newest_ms']),
    example: String(row['example']),
  }))
}

/** Which message names some build of the group handles. */
export async function handledNames(database: Queryable, group: string): Promise<ReadonlySet<string>> {
  const { rows } = await database.query('select name from trunkline.group_handles where consumer_group = $1', [group])
  return new Set(rows.map((row) => String(row['name'])))
}

/** In the order of the statements' first eight parameters. */
function valuesOf({ group, states, type, cause, key, sinceMs, untilMs, ids }: FailureFilter): unknown[] {
  const like = (text: string): string => `${text.replace(/[\\%_]/g, '\\$&')}%`
  return [
    group ?? null,
    states,
    type ?? null,
    cause === undefined ? null : like(cause),
    key ?? null,
    sinceMs ?? null,
    untilMs ?? null,
    ids === undefined ? null : ids.map((id) => like(id.toLowerCase())),
  ]
}

/** Columns and fields that are texts, or absent. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function toRow(row: Readonly<Record<string, unknown>>): FailureRow {
  return {
    seq: BigInt(String(row['seq'])),
    group: String(row['consumer_group']),
    id: String(row['id']),
    // A check of the table allows no other; bytes are what they are.
    state: row['state'] as FailureState['state'],
    key: row['record_key'] as Buffer | null,
    type: String(row['type']),
    attempts: Number(row['attempts']),
    fingerprint: textOf(row['fingerprint']),
    code: textOf(row['reason_code']),
    cause: textOf(row['cause']),
    place: { topic: String(row['topic']), partition: Number(row['partition']) },
    offset: BigInt(String(row['record_offset'])),
    ageMs: Number(row['age_ms']),
    behind: Number(row['behind']),
    head: row['head'] === true,
  }
}

function toDetail(row: Readonly<Record<string, unknown>>): FailureDetail {
  const common = toRow(row)
  const date = (name: string): Date | null => (row[name] instanceof Date ? row[name] : null)
  return {
    ...common,
    reason: textOf(row['reason']),
    record: {
      offset: common.offset,
      key: common.key,
      value: row['record_value'] as Buffer | null,
      headers: unpackHeaders(row['record_headers'] as Buffer),
      timestampMs: Number(row['record_timestamp_ms']),
    },
    parkedAt: date('parked_at') ?? new Date(0),
    discardedAt: date('discarded_at'),
    dueAt: date('due'),
    timeline: (row['timeline'] as readonly Readonly<Record<string, unknown>>[]).map((entry) => ({
      at: new Date(String(entry['at'])),
      attempt: Number(entry['attempt']),
      code: String(entry['code']),
      reason: textOf(entry['reason']) ?? '',
      fingerprint: textOf(entry['fingerprint']),
    })),
  }
}

const fits = `
         ($1::text is null or m.consumer_group = $1)
     and m.state = any ($2::text[])
     and ($3::text is null or m.type = $3 or m.name = $3)
     and ($4::text is null or m.fingerprint like $4)
     and ($5::bytea is null or m.record_key = $5)
     and ($6::float8 is null or m.parked_at >= trunkline.now() - $6::float8 * interval '1 millisecond')
     and ($7::float8 is null or m.parked_at <= trunkline.now() - $7::float8 * interval '1 millisecond')
     and ($8::text[] is null or m.id::text like any ($8::text[]))`

const rowColumns = `
         m.seq, m.consumer_group, m.id, m.state, m.type, m.attempts, m.reason_code, m.cause, m.fingerprint, m.record_key,
         m.topic, m.partition, m.record_offset, extract(epoch from trunkline.now() - m.parked_at) * 1000 as age_ms,
         (select count(*) from trunkline.parked_message later
           where later.consumer_group = m.consumer_group and later.key_topic = m.key_topic and later.key_hash = m.key_hash
             and later.seq > m.seq) as behind,
         m.key_hash is not null and not exists (
           select from trunkline.parked_message earlier
            where earlier.consumer_group = m.consumer_group and earlier.key_topic = m.key_topic and earlier.key_hash = m.key_hash
              and earlier.seq < m.seq) as head`

const listSql = `
  select ${rowColumns}
    from (select * from trunkline.parked_message m where ${fits} order by m.seq limit $9) m
   order by m.seq`

// It looks through all of them, which have a limit; nobody asks often.
const byMessageIdSql = `
  select ${rowColumns}
    from trunkline.parked_message m
   where position($1::bytea in m.record_headers) > 0
   order by m.seq
   limit $2`

const readSql = `
  select ${rowColumns}, m.reason, m.record_value, m.record_headers, m.record_timestamp_ms, m.parked_at, m.discarded_at, m.timeline,
         case when k.due < 'infinity' then k.due end as due
    from trunkline.parked_message m
    left join trunkline.parked_key k
      on k.consumer_group = m.consumer_group and k.topic = m.key_topic and k.key_hash = m.key_hash
   where m.consumer_group = $1 and m.id = $2`

const causesSql = `
  select m.consumer_group, m.fingerprint, min(m.cause) as cause,
         count(*) filter (where m.state = 'dead') as dead,
         count(*) filter (where m.state = 'waiting') as waiting,
         count(*) filter (where m.state = 'discarded') as discarded,
         count(*) filter (where m.state = 'dead' and m.key_hash is not null) as held_keys,
         extract(epoch from trunkline.now() - min(m.parked_at)) * 1000 as oldest_ms,
         extract(epoch from trunkline.now() - max(m.parked_at)) * 1000 as newest_ms,
         (array_agg(m.id order by m.seq))[1] as example
    from trunkline.parked_message m
   where ${fits} and m.fingerprint is not null
   group by m.consumer_group, m.fingerprint
   order by count(*) desc, m.consumer_group, m.fingerprint
   limit $9`
