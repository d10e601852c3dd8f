import type { Clock } from '../../foundation/clock.ts'
import type { WriterSchemas } from '../contract/writer-schemas.ts'
import type { Database } from '../database/database.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { TransactionalIncidentLog } from '../incident.ts'
import type { ConnectionShare } from './connection-share.ts'
import type { Pause } from './pause.ts'
import type { PipelineParts } from './pipeline.ts'
import type { RetryStore } from './retry-store.ts'
import type { Solitude } from './solitude.ts'
import type { Subscription } from './subscription.ts'

/** What it takes to run parked messages again. */
export interface RetryParts<Tx extends object> extends PipelineParts<Tx> {
  readonly database: Pick<Database<Tx>, 'part'>
  readonly retries: RetryStore<Tx>
  readonly incidents: TransactionalIncidentLog<Tx>
  readonly writerSchemas?: WriterSchemas | undefined
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  /** This process, as its heartbeat calls it. */
  readonly processId: string
  /** How many effect transactions this process may have open. */
  readonly share: ConnectionShare
  /** What a person has paused. */
  readonly pause: Pause
  /** Of everything that handles messages in this process. */
  readonly solitude: Solitude
}

export interface RetryKeySettings<Tx> {
  /** By message name. */
  readonly subscriptions: ReadonlyMap<string, Subscription<Tx>>
  readonly leaseMs: number
}
