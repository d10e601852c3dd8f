import type { Queryable } from '../../../core/database/database.ts'
import { type HeldKey, readHeldKeys } from './held-keys.ts'

/** Beyond so many rows a count says "at least": an operator waits for an answer, not for a scan. */
const COUNTED_MAX = 1_000_000

/** How the outbox is doing, for people and for alarms. */
export interface OutboxStatus {
  /** Messages that wait, also behind held keys. */
  readonly pending: number
  /** Whether there are more than were counted. */
  readonly pendingAtLeast: boolean
  /** Age of the oldest; `null` when nothing waits. */
  readonly oldestMs: number | null
  readonly topics: readonly TopicBacklog[]
  readonly held: readonly HeldKey[]
  /** Messages published for later, and when the first is due. */
  readonly scheduled: number
  readonly nextDueInMs: number | null
  /** The relay in office; `null` when nobody is. */
  readonly owner: { readonly epoch: number; readonly leaseEndsInMs: number } | null
  /** Numbers between the lowest row and the last number taken: what a new owner looks through. */
  readonly span: number
  /** Open write transactions, the oldest first: what committed after they began is sent in order, and they decide how far the mark moves. */
  readonly writers: readonly OpenTransaction[]
  /** Deleted rows that are not vacuumed yet, and the size on disk with indexes. */
  readonly deadRows: number
  readonly bytes: number
}

export interface TopicBacklog {
  readonly topic: string
  readonly pending: number
  readonly oldestMs: number
  readonly bytes: number
  /** Why it waits as a whole, where it does: what the incident says that came since its oldest message. Held keys are told apart. */
  readonly trouble: string | null
}

export interface OpenTransaction {
  readonly pid: number
  readonly database: string
  readonly application: string
  readonly state: string
  readonly openMs: number
}

/** Reads it by a few statements, each as of its own moment. */
export async function readOutboxStatus(database: Queryable): Promise<OutboxStatus> {
  const [topics, held, rest, writers] = await Promise.all([
    database.query(topicsSql, [COUNTED_MAX + 1]),
    readHeldKeys(database, {}),
    database.query(restSql),
    database.query(writersSql),
  ])
  const backlogs = topics.rows.map((row) => ({
    topic: String(row['topic']),
    pending: Number(row['pending']),
    oldestMs: Number(row['oldest_ms']),
    bytes: Number(row['bytes']),
    trouble: row['trouble'] === null ? null : String(row['trouble']),
  }))
  const counted = backlogs.reduce((sum, { pending }) => sum + pending, 0)
  const row = rest.rows[0] ?? {}
  return {
    pending: Math.min(counted, COUNTED_MAX),
    pendingAtLeast: counted > COUNTED_MAX,
    oldestMs: backlogs.length === 0 ? null : Math.max(...backlogs.map(({ oldestMs }) => oldestMs)),
    topics: backlogs,
    held,
    scheduled: Number(row['scheduled']),
    nextDueInMs: row['next_due_in_ms'] === null ? null : Number(row['next_due_in_ms']),
    owner: row['lease_ends_in_ms'] === null ? null : { epoch: Number(row['epoch']), leaseEndsInMs: Number(row['lease_ends_in_ms']) },
    span: Number(row['span']),
    writers: writers.rows.map((one) => ({
      pid: Number(one['pid']),
      database: String(one['database'] ?? ''),
      application: String(one['application'] ?? ''),
      state: String(one['state'] ?? 'hidden'),
      openMs: Number(one['open_ms'] ?? 0),
    })),
    deadRows: Number(row['dead_rows']),
    bytes: Number(row['bytes']),
  }
}

const ageSql = (column: string): string => `extract(epoch from trunkline.now() - ${column}) * 1000`

// An incident that is older than what waits was over before that came.
const topicsSql = `
  select backlog.topic, pending, ${ageSql('oldest')} as oldest_ms, bytes,
         (select message from trunkline.incident
           where kind = any ('{topic_missing,topic_refused,topic_partitions_shrank}') and subject = backlog.topic and at >= sendable
           order by at desc limit 1) as trouble
    from (
      select topic, count(*) as pending, min(created_at) as oldest,
             sum(coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) + octet_length(headers)) as bytes,
             min(created_at) filter (
               where ((topic, key) in (select topic, key from trunkline.outbox_held_key)) is not true
                 and id not in (select head_id from trunkline.outbox_held_key)) as sendable
        from (select topic, id, created_at, key, value, headers from trunkline.outbox order by seq limit $1) as counted
       group by topic
    ) as backlog
   order by pending desc, topic`

// The lowest number is what the index knows; the last one is what the sequence gave out.
const restSql = `
  select (select count(*) from trunkline.outbox_scheduled) as scheduled,
         (select -(${ageSql('min(due_at)')}) from trunkline.outbox_scheduled) as next_due_in_ms,
         lease.epoch,
         case when lease.owner is not null and lease.expires_at > trunkline.now() then -(${ageSql('lease.expires_at')}) end as lease_ends_in_ms,
         coalesce((select last_value - (not is_called)::int from trunkline.outbox_seq_seq)
                  - (select min(seq) from trunkline.outbox) + 1, 0) as span,
         coalesce(pg_stat_get_dead_tuples('trunkline.outbox'::regclass), 0) as dead_rows,
         pg_total_relation_size('trunkline.outbox') as bytes
    from trunkline.outbox_lease as lease
   where lease.shard = 0`

// Transaction numbers belong to the whole server, so writers of other databases count. Without pg_read_all_stats only
// those of the same user are named.
const writersSql = `
  select pid, datname as database, application_name as application, state, extract(epoch from clock_timestamp() - xact_start) * 1000 as open_ms
    from pg_stat_activity
   where backend_xid is not null and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '250 milliseconds'
   order by backend_xid::text::bigint
   limit 5`
