import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import type { LogProducer, LogRecord } from '../../src/core/broker/log-producer.ts'

/** A log under test. */
export interface LogSubject {
  /** The ports of one more user of the same log. */
  driver(): LogDriver
  /** What is committed to a group. */
  committed(group: string, topic: string, partition: number): Promise<bigint | undefined>
  close(): Promise<void>
}

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
export async function makeTopic(driver: LogDriver, partitions = 1): Promise<string> {
  const name = uniqueName('log')
  await driver.admin.createTopics([{ name, partitions, replicationFactor: 1 }])
  return name
}

/** Appends and demands that it was acknowledged. @returns the offset of the first record */
export async function appended(producer: LogProducer, topic: string, partition: number, records: readonly LogRecord[]): Promise<bigint> {
  const outcome = await producer.append({ topic, partition }, records)
  expect(outcome).toMatchObject({ status: 'acked' })
  return outcome.status === 'acked' ? outcome.baseOffset : -1n
}

/** A signal for what has to happen soon. */
export function soon(): AbortSignal {
  return AbortSignal.timeout(20_000)
}
