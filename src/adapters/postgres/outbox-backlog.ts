import type { Backlog } from '../../core/outbox/outbox-store.ts'
import type { BinaryRow } from './binary-row.ts'

/** Enough to see that it is not a few: counting these takes 3 ms, and `trunkline outbox status` counts further. */
export const BACKLOG_COUNTED_MAX = 10_000

/** A row of {@link backlogSql}. */
export function readBacklogRow(row: BinaryRow): Backlog {
  const told: Told = JSON.parse(row.text())
  return {
    pending: Math.min(told.pending, BACKLOG_COUNTED_MAX),
    pendingAtLeast: told.pending > BACKLOG_COUNTED_MAX,
    oldestMs: told.oldest_ms ?? undefined,
    scheduled: told.scheduled ?? 0,
    deadRows: told.dead_rows ?? 0,
    oldestWriter: told.writer === null ? undefined : { ...told.writer, application: told.writer.application ?? '' },
  }
}

interface Told {
  readonly pending: number
  readonly oldest_ms: number | null
  readonly scheduled: number | null
  readonly dead_rows: number | null
  readonly writer: { readonly pid: number; readonly application: string | null; readonly openMs: number } | null
}

// Transaction numbers belong to the whole server, so writers of other databases count. Without pg_read_all_stats only
// those of the same user are seen.
export const backlogSql = `
  with waiting as materialized (
    select created_at from trunkline.outbox where seq > $1::bigint order by seq limit $2
  ), writer as (
    select json_build_object(
             'pid', pid, 'application', application_name,
             'openMs', round(extract(epoch from clock_timestamp() - xact_start) * 1000)) as told
      from pg_stat_activity
     where backend_xid is not null and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '250 milliseconds'
     order by xact_start limit 1
  )
  select json_build_object(
           'pending', (select count(*) from waiting),
           'oldest_ms', (select round(extract(epoch from trunkline.now() - created_at) * 1000) from waiting limit 1),
           'scheduled', pg_stat_get_live_tuples('trunkline.outbox_scheduled'::regclass),
           'dead_rows', pg_stat_get_dead_tuples('trunkline.outbox'::regclass),
           'writer', (select told from writer)
         )::text as told`
