import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from 'pg'
import { z } from 'zod'
import { type AppliedEffect, type CommittedMessage, type History, type LoggedMessage, type Operation, readCounted } from './checker.ts'
import { until } from './wait.ts'

/** The tables of a run, beside Trunkline's: what was committed, and the effects. */
export const runTables = `
  create table if not exists source (key text primary key, version bigint not null);
  create table if not exists committed (operation text not null, key text not null, version bigint not null);
  create table if not exists effect (at bigint generated always as identity, key text not null, version bigint not null)`

const operationSchema = z.object({ operation: z.string(), outcome: z.enum(['ok', 'failed', 'unknown']) })

/** Notes what a publisher was told. Written at once, for the process may be killed in the next instant. */
export function noteOperation(path: string, operation: Operation): void {
  appendFileSync(path, `${JSON.stringify(operation)}\n`)
}

export function readOperations(path: string): Operation[] {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => operationSchema.parse(JSON.parse(line)))
}

/** What a database says about a run: committed messages, effects, and what was kept. */
export async function readDatabase(url: string): Promise<Pick<History, 'committed' | 'effects' | 'kept'>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const committed = await client.query<{ operation: string; key: string; version: string }>(
      'select operation, key, version from committed',
    )
    const effects = await client.query<{ key: string; version: string; at: string }>('select key, version, at from effect')
    const parked = await client.query<{ record_value: Buffer | null }>('select record_value from trunkline.parked_message')
    return {
      committed: committed.rows.map(({ operation, key, version }): CommittedMessage => ({ operation, key, version: Number(version) })),
      effects: effects.rows.map(({ key, version, at }): AppliedEffect => ({ key, version: Number(version), at: BigInt(at) })),
      kept: parked.rows.flatMap(({ record_value: value }) => readCounted(value) ?? []),
    }
  } finally {
    await client.end()
  }
}

export interface RawRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly id: string
}

/** Reads a topic from its first record to where it ends now. */
export async function readTopic(brokers: readonly string[], topic: string): Promise<RawRecord[]> {
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  const wanted = ends.reduce((sum, end) => sum + Number(end.high) - Number(end.low), 0)
  if (wanted === 0) return []
  const records: RawRecord[] = []
  const consumer = kafka.consumer({ groupId: `${topic}-checker-${Date.now()}`, maxWaitTimeInMs: 50 })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        const id = message.headers?.['ce_id']
        records.push({ partition, offset: BigInt(message.offset), key: message.key, value: message.value, id: String(id ?? '') })
      },
    })
    await until(`${wanted} records of ${topic}`, () => records.length >= wanted, 30_000)
  } finally {
    await consumer.disconnect()
  }
  return records
}

export function toLogged(records: readonly RawRecord[]): LoggedMessage[] {
  return records.flatMap(({ partition, offset, value, id }) => {
    const counted = readCounted(value)
    return counted === undefined ? [] : [{ ...counted, partition, offset, id }]
  })
}
