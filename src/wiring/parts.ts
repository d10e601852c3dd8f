import type { LogDriver } from '../core/broker/log-driver.ts'
import type { Database } from '../core/database/database.ts'
import type { BackboneDiagnostics } from '../core/diagnostics.ts'
import type { TransactionalIncidentLog } from '../core/incident.ts'
import type { Logger } from '../core/logger.ts'
import type { OutboxBell } from '../core/outbox/outbox-bell.ts'
import type { OutboxStoreFactory } from '../core/outbox/outbox-store.ts'
import type { Publisher } from '../core/outbox/publish.ts'
import type { Clock } from '../foundation/clock.ts'
import type { RegistryParts } from './registry.ts'

/** What every part of a backbone may lean on. */
export interface SharedParts extends RegistryParts {
  readonly clock: Clock
  readonly diagnostics: BackboneDiagnostics
  readonly logger: Logger
}

export interface LogParts extends LogDriver {
  /** For messages to people: the brokers' addresses, or that the log is in memory. */
  readonly address: string
  /** Makes missing topics of a memory log; the topics of a cluster are never made by a service. */
  prepareTopics(names: readonly string[]): Promise<void>
}

export interface DatabaseParts<Tx extends object> {
  readonly database: Database<Tx>
  readonly publisher: Publisher<Tx>
  /** Calls relays of other processes. */
  readonly bell: OutboxBell
  readonly outboxes: OutboxStoreFactory
  readonly incidents: TransactionalIncidentLog<Tx>
  /** For messages to people: host, port and database name, never the password. */
  readonly address: string
}
