import { randomUUID } from 'node:crypto'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import type { LogProducer, LogRecord } from '../../src/core/broker/log-producer.ts'
import type { TopicSettings } from '../../src/core/broker/topic-plan.ts'

/** A log under test. */
export interface LogSubject {
  /** The ports of one more user of the same log. */
  driver(): LogDriver
  /** What is committed to a group. */
  committed(group: string, topic: string, partition: number): Promise<bigint | undefined>
  /** What retention does: everything below the offset is gone. */
  truncate(topic: string, partition: number, before: bigint): Promise<void>
  /** What compaction does to a topic of {@link COMPACTED}: of each key the last record stays, and the newest of all. */
  compact(topic: string): Promise<void>
  deleteTopic(topic: string): Promise<void>
  /** Writes to partition 0 as another client does, and not as ours. */
  readonly foreign: ForeignWriter
  close(): Promise<void>
}

/** What other clients write and ours does not. Where there are none, their cases are skipped. */
export interface ForeignWriter {
  compressed(topic: string, codec: 'gzip' | 'snappy' | 'lz4' | 'zstd', values: readonly string[]): Promise<void>
  withHeaders(topic: string, headers: readonly (readonly [name: string, value: Buffer | null])[]): Promise<void>
  /** Two records in a transaction that is aborted. */
  aborted(topic: string): Promise<void>
}

/** Compacted as soon as a broker can. */
export const COMPACTED = {
  'cleanup.policy': 'compact',
  'segment.ms': '100',
  'min.cleanable.dirty.ratio': '0.01',
} as const

export type OpenLog = () => Promise<LogSubject>

export function uniqueName(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`
}

/** Of now: a broker may delete older ones at any moment, after its retention. */
export function record(value: string | null, more: Partial<LogRecord> = {}): LogRecord {
  return { key: null, value: value === null ? null : Buffer.from(value), headers: [], timestampMs: Date.now(), ...more }
}

/** `count` records with the values `from`, `from + 1`, … */
export function numbered(count: number, from = 0): LogRecord[] {
  return Array.from({ length: count }, (_, index) => record(String(from + index)))
}

/** A topic of its own for one test. */
export async function makeTopic(driver: LogDriver, partitions = 1, settings: TopicSettings = {}): Promise<string> {
  const name = uniqueName('log')
  await driver.admin.createTopics([{ name, partitions, replicationFactor: 1, settings }])
  return name
}

/** @returns the offset of the first record. @throws TrunklineError it was not acknowledged, and why */
export async function appended(producer: LogProducer, topic: string, partition: number, records: readonly LogRecord[]): Promise<bigint> {
  const outcome = await producer.append({ topic, partition }, records)
  if (outcome.status !== 'acked') throw outcome.reason
  return outcome.baseOffset
}

/** A signal for what has to happen soon. */
export function soon(): AbortSignal {
  return AbortSignal.timeout(20_000)
}
