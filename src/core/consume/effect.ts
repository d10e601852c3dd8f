import type { Clock } from '../../foundation/clock.ts'
import { ConflictError } from '../../foundation/errors.ts'
import type { Database } from '../database/database.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { InboxStore } from '../inbox/inbox-store.ts'
import type { TransactionalIncidentLog } from '../incident.ts'
import type { ConnectionShare } from './connection-share.ts'
import type { ParkingStore } from './parking-store.ts'
import type { PipelineParts } from './pipeline.ts'
import type { GroupPartition, PositionStore } from './position-store.ts'

export interface EffectParts<Tx extends object> extends PipelineParts<Tx> {
  readonly database: Database<Tx>
  readonly positions: PositionStore<Tx>
  readonly inbox: InboxStore<Tx>
  readonly parking: ParkingStore<Tx>
  readonly incidents: TransactionalIncidentLog<Tx>
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  /** How many effect transactions this process may have open, shared fairly by the partitions. */
  readonly share: ConnectionShare
  /** A message was parked that is to run again at once. */
  readonly onParked: () => void
}

/** A partition that this member holds: its epoch, and the next offset that it may settle. */
export interface HeldPartition extends GroupPartition {
  readonly epoch: bigint
  next: bigint
  /** Batches that are still run with caution, because a handler failed lately. */
  caution: number
  /**
   * Batches in which handlers that run side by side still do so in short segments, because one try did not tell of all that
   * fail: a statement failed lately, or a handler that had not in the try before.
   */
  narrow: number
  /** Batches in which statements still note who sends them, because one failed lately and did not say. */
  traces: number
  /** Names that were passed over and told of; shared by the partitions of a consumer. */
  readonly passedOver: Set<string>
}

export function placeOf(held: GroupPartition): { group: string; topic: string; partition: number } {
  return { group: held.group, topic: held.topic, partition: held.partition }
}

export function positionFenced(held: GroupPartition & { readonly next: bigint }): ConflictError {
  return new ConflictError(
    'POSITION_FENCED',
    `Group "${held.group}" no longer holds ${held.topic}/${held.partition} at offset ${held.next}: another member took it, or the database was set back. The position is read again.`,
    { ...placeOf(held), offset: String(held.next) },
  )
}
