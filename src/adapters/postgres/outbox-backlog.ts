import type { Backlog } from '../../core/outbox/outbox-store.ts'
import type { RawRow } from './single-session.ts'

/** Enough to see that it is not a few: counting these takes 3 ms, and `trunkline outbox status` counts further. */
export const BACKLOG_COUNTED_MAX = 10_000

export function toBacklog([row]: readonly RawRow[]): Backlog {
  const [pending, oldestMs, scheduled, deadRows, pid, application, openMs] = row ?? []
  const counted = Number(pending ?? 0)
  return {
    pending: Math.min(counted, BACKLOG_COUNTED_MAX),
    pendingAtLeast: counted > BACKLOG_COUNTED_MAX,
    oldestMs: numberOf(oldestMs),
    scheduled: Number(scheduled ?? 0),
    deadRows: Number(deadRows ?? 0),
    oldestWriter:
      pid === null || pid === undefined ? undefined : { pid: Number(pid), application: application ?? '', openMs: Number(openMs ?? 0) },
  }
}

function numberOf(text: string | null | undefined): number | undefined {
  return text === null || text === undefined ? undefined : Number(text)
}

// Transaction numbers belong to the whole server, so writers of other databases count. Without pg_read_all_stats only
// those of the same user are seen.
export const backlogSql = `
  with waiting as materialized (
    select created_at from trunkline.outbox where seq > $1::bigint order by seq limit $2
  ), writer as (
    select pid, application_name, extract(epoch from clock_timestamp() - xact_start) * 1000 as open_ms
      from pg_stat_activity
     where backend_xid is not null and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '250 milliseconds'
     order by xact_start limit 1
  )
  select (select count(*) from waiting) as pending,
         (select round(extract(epoch from trunkline.now() - created_at) * 1000) from waiting limit 1) as oldest_ms,
         pg_stat_get_live_tuples('trunkline.outbox_scheduled'::regclass) as scheduled,
         pg_stat_get_dead_tuples('trunkline.outbox'::regclass) as dead_rows,
         writer.pid, writer.application_name, round(writer.open_ms) as open_ms
    from (select) as one left join writer on true`
