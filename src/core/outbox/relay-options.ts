import { z } from 'zod'
import type { Clock } from '../../foundation/clock.ts'
import { duration } from '../../foundation/duration.ts'
import type { LogAdmin } from '../broker/log-admin.ts'
import type { LogProducer } from '../broker/log-producer.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { IncidentLog } from '../incident.ts'
import type { OutboxStoreFactory } from './outbox-store.ts'

export const relayOptions = z.strictObject({
  /** Rows per pass, 1–10 000. Default 2 000. More is faster and keeps more rows in memory. */
  passSize: z.int().min(1).max(10_000).default(2_000),
  /** Messages per produce request of one partition, 1–10 000. Default 1 000. */
  batchSize: z.int().min(1).max(10_000).default(1_000),
  /** Bytes per produce request of one partition. Default 512 KiB; the broker's limit is 1 MiB unless it was raised. */
  batchBytes: z.int().min(1_024).max(16_777_216).default(524_288),
  /** Messages of one partition that wait in memory. Default 4 000; the others wait in the table. */
  laneSize: z.int().min(1).max(100_000).default(4_000),
  /** Messages in memory in all. Default 10 000. */
  inFlightMax: z.int().min(1).max(100_000).default(10_000),
  /** Bytes of messages in memory in all. Default 32 MiB; one message more than that may be read. */
  inFlightBytes: z.int().min(1_048_576).max(1_073_741_824).default(33_554_432),
  /** Longest pause between two looks at an empty outbox. Default '100ms'. Bounds the latency when nobody wakes the relay; four times that where calls are heard and nothing came without one in ten minutes. */
  idleDelay: duration({ min: '2ms', max: '1m' }).prefault('100ms'),
  /** How long an owner that does not answer stays in office. Default '10s'. */
  lease: duration({ min: '1s', max: '5m' }).prefault('10s'),
  /** Keys of one topic that may be held, 1–1 000. Default 100; the next refusal makes the whole topic wait, and be tried again. */
  heldKeysMax: z.int().min(1).max(1_000).default(100),
  /** How often the owner looks whether somebody changed the partitions of a topic that it sends to. Default '1m'. */
  topicCheck: duration({ min: '100ms', max: '1d' }).prefault('1m'),
  /** How often the owner reports `relay.backlog`: what waits, how old it is, who is in the way. Default '15s'. */
  report: duration({ min: '100ms', max: '1d' }).prefault('15s'),
  /** Longest pause before a refused or missing topic is tried again. Default '30s'. */
  retryMax: duration({ min: '100ms', max: '10m' }).prefault('30s'),
})
export type RelayOptions = z.input<typeof relayOptions>
export type RelaySettings = z.output<typeof relayOptions>

export interface RelayParts {
  readonly outboxes: OutboxStoreFactory
  readonly producer: LogProducer
  readonly admin: LogAdmin
  readonly incidents: IncidentLog
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}
