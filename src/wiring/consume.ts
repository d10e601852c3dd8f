import { PostgresInboxStore, PostgresInboxUpkeep } from '../adapters/postgres/inbox-store.ts'
import { PostgresParkingStore } from '../adapters/postgres/parking-store.ts'
import { PostgresParticipantStore } from '../adapters/postgres/participant-store.ts'
import { PostgresPositionStore } from '../adapters/postgres/position-store.ts'
import { PostgresProcessStore } from '../adapters/postgres/process-store.ts'
import { PostgresRetryStore } from '../adapters/postgres/retry-store.ts'
import { ConnectionShare } from '../core/consume/connection-share.ts'
import { Consumer } from '../core/consume/consumer.ts'
import type { Middleware } from '../core/consume/middleware.ts'
import { LimitedParking } from '../core/consume/parking-limit.ts'
import type { ParkingSettings } from '../core/consume/parking-options.ts'
import type { Pause } from '../core/consume/pause.ts'
import type { GroupStart } from '../core/consume/registry.ts'
import { RetryService } from '../core/consume/retry-service.ts'
import { Solitude } from '../core/consume/solitude.ts'
import type { Subscription } from '../core/consume/subscription.ts'
import { InboxKeeper } from '../core/inbox/inbox-keeper.ts'
import type { DatabaseParts, LogParts, SharedParts } from './parts.ts'

export interface GroupPlan<Tx> {
  readonly group: string
  readonly subscriptions: ReadonlyMap<string, Subscription<Tx>>
  readonly start: GroupStart
}

/** Connections of the pool that effect transactions leave to publishers, positions and timers. */
const RESERVED_CONNECTIONS = 2

/** What reads one group's messages, and what runs again those that failed. */
export interface GroupServices<Tx extends object> {
  readonly consumer: Consumer<Tx>
  readonly retries: RetryService<Tx>
}

export interface GroupSettings {
  readonly parking: ParkingSettings
  readonly stopDeadlineMs: number
  readonly maxConnections: number
  readonly onFailure: (group: string, error: unknown) => void
}

/** Builds a consumer and a retry service for each group. */
export function buildGroups<Tx extends object>(
  groups: readonly GroupPlan<Tx>[],
  parts: SharedParts &
    LogParts &
    DatabaseParts<Tx> & { readonly middlewares: readonly Middleware<Tx>[]; readonly pause: Pause; readonly processId: string },
  { parking, stopDeadlineMs, maxConnections, onFailure }: GroupSettings,
): GroupServices<Tx>[] {
  const { database } = parts
  const share = new ConnectionShare(maxConnections - RESERVED_CONNECTIONS)
  const shared = {
    ...parts,
    share,
    solitude: new Solitude(),
    processes: new PostgresProcessStore(database),
    participants: new PostgresParticipantStore({ database }),
  }
  const consuming = {
    ...shared,
    log: parts.consumers,
    positions: new PostgresPositionStore(database),
    inbox: new PostgresInboxStore(database),
    parking: new LimitedParking({ ...parts, parking: new PostgresParkingStore(database) }, parking),
  }
  const retrying = { ...shared, retries: new PostgresRetryStore(database) }
  const { workers, idleDelay: idleDelayMs, lease: leaseMs, discardedFor: discardedForMs } = parking
  return groups.map((plan) => {
    const retries = new RetryService(retrying, { ...plan, workers, idleDelayMs, leaseMs, discardedForMs })
    const options = { ...plan, stopDeadlineMs, onFailure: (error: unknown) => onFailure(plan.group, error) }
    return { retries, consumer: new Consumer({ ...consuming, onParked: () => retries.wake() }, options) }
  })
}

/** Builds what keeps the inbox as small as it may be. */
export function buildInboxKeeper<Tx extends object>(parts: SharedParts & DatabaseParts<Tx>, keepMs: number): InboxKeeper {
  return new InboxKeeper({ ...parts, upkeep: new PostgresInboxUpkeep(parts.database) }, keepMs)
}
