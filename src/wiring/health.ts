import type { Pause } from '../core/consume/pause.ts'
import type { Database } from '../core/database/database.ts'
import type { PartHealth } from '../core/health.ts'
import type { Relay } from '../core/outbox/relay.ts'
import type { SagaTimers } from '../core/saga/timers.ts'
import type { GroupServices } from './consume.ts'

/** What runs, as far as it was asked for. */
export interface RunningParts<Tx extends object> {
  readonly database: Database<Tx>
  readonly relay: Relay | undefined
  readonly timers: SagaTimers<Tx> | undefined
  readonly groups: readonly GroupServices<Tx>[]
  readonly pause: Pause
}

/** How each part is doing; the database is asked, and waited for no longer than two seconds. */
export async function healthOfParts<Tx extends object>({
  database,
  relay,
  timers,
  groups,
  pause,
}: RunningParts<Tx>): Promise<Record<string, PartHealth>> {
  const parts: Record<string, PartHealth> = {}
  const reachable = await database.reachable()
  parts['database'] = { ready: reachable, state: reachable ? 'reachable' : 'unreachable' }
  if (relay !== undefined) parts['relay'] = { ready: relay.ready, state: relay.state }
  if (timers !== undefined) parts['timers'] = { ready: timers.ready, state: timers.ready ? 'running' : 'without database' }
  for (const { consumer, retries } of groups) {
    // A paused one is as ready as it should be: a person wants it so.
    const joined = pause.isPaused(consumer.group) ? 'paused by a person' : 'member of its group'
    parts[`consumer ${consumer.group}`] = { ready: consumer.ready, state: consumer.ready ? joined : 'joining' }
    parts[`retries ${retries.group}`] = { ready: retries.ready, state: retries.ready ? 'running' : 'without database' }
  }
  return parts
}
