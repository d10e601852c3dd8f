import { PostgresInboxStore } from '../adapters/postgres/inbox-store.ts'
import { PostgresParkingStore } from '../adapters/postgres/parking-store.ts'
import { PostgresParticipantStore } from '../adapters/postgres/participant-store.ts'
import { PostgresPositionStore } from '../adapters/postgres/position-store.ts'
import { ConnectionShare } from '../core/consume/connection-share.ts'
import { Consumer } from '../core/consume/consumer.ts'
import type { Middleware } from '../core/consume/middleware.ts'
import type { GroupStart } from '../core/consume/registry.ts'
import type { Subscription } from '../core/consume/subscription.ts'
import type { DatabaseParts, LogParts, SharedParts } from './parts.ts'

export interface GroupPlan<Tx> {
  readonly group: string
  readonly subscriptions: ReadonlyMap<string, Subscription<Tx>>
  readonly start: GroupStart
}

/** Connections of the pool that effect transactions leave to publishers, positions and timers. */
const RESERVED_CONNECTIONS = 2

/** Builds one consumer per group. */
export function buildConsumers<Tx extends object>(
  groups: readonly GroupPlan<Tx>[],
  parts: SharedParts & LogParts & DatabaseParts<Tx> & { readonly middlewares: readonly Middleware<Tx>[] },
  settings: { stopDeadlineMs: number; maxConnections: number; onFailure: (group: string, error: unknown) => void },
): Consumer<Tx>[] {
  const { database } = parts
  const consumerParts = {
    ...parts,
    log: parts.consumers,
    positions: new PostgresPositionStore(database),
    inbox: new PostgresInboxStore(database),
    parking: new PostgresParkingStore(database),
    participants: new PostgresParticipantStore({ database }),
    share: new ConnectionShare(settings.maxConnections - RESERVED_CONNECTIONS),
  }
  return groups.map(
    ({ group, subscriptions, start }) =>
      new Consumer(consumerParts, {
        group,
        subscriptions,
        start,
        stopDeadlineMs: settings.stopDeadlineMs,
        onFailure: (error) => settings.onFailure(group, error),
      }),
  )
}
