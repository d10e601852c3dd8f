import type { Queryable, TransactionOutcome } from '../../core/database/database.ts'
import type { Clock } from '../../foundation/clock.ts'
import { endsWithin } from '../../foundation/service.ts'

/**
 * One life of one server: it changes when the server starts, and when it recovers from a crash without a start.
 *
 * A crash forgets ids whose WAL was not yet on disk and gives them to other transactions. What is said about an id
 * is therefore said about ours only within a generation. A recovery discards the statistics, which any role can see.
 */
export const generationSql = `
  (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint || '-' ||
  coalesce((extract(epoch from (select stats_reset from pg_stat_archiver)) * 1000000)::bigint, 0)`

/** By which a transaction can be asked for later: its generation and its number in it. */
export function toTransactionId(generation: string, xid: string): string {
  return `${generation}/${xid}`
}

export interface OutcomeParts {
  readonly outside: Queryable
  readonly clock: Clock
}

/** Asks the primary until it knows, or the deadline. */
export async function askOutcome(parts: OutcomeParts, transactionId: string, deadlineMs: number): Promise<TransactionOutcome> {
  const [, generation, xid] = /^(.+)\/(\d{1,20})$/.exec(transactionId) ?? []
  if (generation === undefined || xid === undefined) return 'unknown'
  const { clock } = parts
  const deadline = clock.monotonic() + deadlineMs
  for (let pauseMs = 5; clock.monotonic() < deadline; pauseMs = Math.min(pauseMs * 2, 250)) {
    const asked = readStatus(parts.outside, xid)
    if (!(await endsWithin(asked, deadline - clock.monotonic()))) break
    const seen = await asked
    // Aborted is true in any generation: an id whose commit reached the disk is not given to another transaction.
    if (seen?.status === 'aborted') return 'aborted'
    if (seen?.status === 'committed') return seen.generation === generation ? 'committed' : 'unknown'
    if (seen?.status === 'too old') return 'unknown'
    await clock.sleep(pauseMs)
  }
  return 'unknown'
}

/** @returns `undefined` when it cannot be said now: nobody answers, or after a crash the number is still in the future */
async function readStatus(outside: Queryable, xid: string): Promise<{ status: string; generation: string } | undefined> {
  try {
    const { rows } = await outside.query(statusSql, [xid])
    const [row] = rows
    // On a standby the answer could be old; the primary alone decides.
    if (row === undefined || row['standby'] === true) return undefined
    return { status: String(row['status'] ?? 'too old'), generation: String(row['generation']) }
  } catch {
    return undefined
  }
}

const statusSql = `
  select pg_xact_status($1::text::xid8) as status, pg_is_in_recovery() as standby, ${generationSql} as generation`
