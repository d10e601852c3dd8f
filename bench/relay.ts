import { performance } from 'node:perf_hooks'
import { Pool } from 'pg'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { type Backbone, createBackbone } from '../src/backbone.ts'
import { unpackHeaders } from '../src/core/broker/header-bytes.ts'
import type { LogDriver } from '../src/core/broker/log-driver.ts'
import type { LogProducer, LogRecord } from '../src/core/broker/log-producer.ts'
import { fingerprintOf } from '../src/core/contract/codec.ts'
import { contract } from '../src/core/contract/contract.ts'
import type { BenchContext } from './context.ts'
import { median, type Row, toRow } from './result.ts'

const PARTITIONS = 4
const VALUE_BYTES = 300
/** The relay's own defaults, so that both send batches of the same size. */
const BATCH_SIZE = 1_000
const BATCH_BYTES = 524_288
const TRANSACTION_SIZE = 1_000
const DRAIN_DEADLINE_MS = 300_000

interface Cost {
  readonly eventsPerSecond: number
  readonly cpuMicrosPerEvent: number
}

interface Ground {
  readonly backbone: Backbone
  readonly log: LogDriver
  readonly pool: Pool
  readonly topic: string
}

/**
 * Drains a backlog of the outbox into Kafka, and beside it feeds the same records to the bare producer.
 *
 * The raw producer is given finished records: what the relay costs above it is reading, routing, and removing rows.
 */
export async function relay(context: BenchContext): Promise<readonly Row[]> {
  const raws: Cost[] = []
  const relays: Cost[] = []
  for (let run = 1; run <= context.runs; run++) {
    const { raw, relayed } = await onGround(context, run, (ground) => measureBoth(ground, context))
    raws.push(raw)
    relays.push(relayed)
    context.say(`run ${run}: raw producer ${describe(raw)}; relay ${describe(relayed)}`)
  }
  const above = relays.map((cost, run) => cost.cpuMicrosPerEvent - (raws[run]?.cpuMicrosPerEvent ?? 0))
  const rate = (costs: readonly Cost[]): number => median(costs.map((cost) => cost.eventsPerSecond))
  return [
    toRow({ bench: 'relay', name: 'drain of a backlog', unit: 'events/s', figure: rate(relays), baseline: rate(raws), atLeast: 60_000 }),
    toRow({ bench: 'relay', name: 'our CPU above the raw producer', unit: 'µs/event', figure: median(above), atMost: 8 }),
  ]
}

/** A database, a topic and connections for one run, gone at its end. */
async function onGround<Result>({ stack }: BenchContext, run: number, work: (ground: Ground) => Promise<Result>): Promise<Result> {
  const name = `trunkline-bench-relay-${process.pid}-${run}`
  const connectionString = stack.databaseUrlOf(name)
  await createDatabase(stack.databaseUrl, name)
  await migrate(connectionString)
  const pool = new Pool({ connectionString, max: 2 })
  const log = kafkajsLog({ brokers: stack.brokers, clientId: 'bench' })
  const kafka = { driver: 'kafkajs' as const, brokers: [...stack.brokers] }
  const backbone = createBackbone({ service: 'bench', kafka, database: { connectionString }, logger: false })
  try {
    await log.admin.createTopics([{ name, partitions: PARTITIONS, replicationFactor: 1 }])
    return await work({ backbone, log, pool, topic: name })
  } finally {
    await backbone.stop()
    await log.admin.close()
    await pool.end()
    await dropDatabases(stack.databaseUrl, name)
  }
}

async function measureBoth(ground: Ground, { events }: BenchContext): Promise<{ raw: Cost; relayed: Cost }> {
  await fillOutbox(ground, events)
  const batches = await readBatches(ground)
  const raw = await feedRaw(ground, batches, events)
  const relayed = await drain(ground, events)
  return { raw, relayed }
}

async function fillOutbox({ backbone, pool, topic }: Ground, events: number): Promise<void> {
  const Measured = measuredContract(topic)
  const padding = 'x'.repeat(VALUE_BYTES - 10 - 2 - 36 - 2)
  for (let sent = 0; sent < events; sent += TRANSACTION_SIZE) {
    const count = Math.min(TRANSACTION_SIZE, events - sent)
    const messages = Array.from({ length: count }, () => Measured({ orderId: crypto.randomUUID(), padding }))
    await backbone.transaction((tx) => backbone.publish(tx, messages))
  }
  await pool.query('vacuum (analyze) trunkline.outbox')
}

function measuredContract(topic: string) {
  const fields = [
    { name: 'orderId', type: 'string' },
    { name: 'padding', type: 'string' },
  ]
  const schema = { type: 'record', name: 'bench.Measured', fields }
  return contract<{ kind: 'event'; name: 'bench.Measured'; input: Data; data: Data; reply: void }>({
    kind: 'event',
    name: 'bench.Measured',
    version: 1,
    topic,
    key: 'orderId',
    replies: [],
    versions: [{ version: 1, fingerprint: fingerprintOf(schema), schema }],
  })
}

interface Data {
  readonly orderId: string
  readonly padding: string
}

interface StoredRecord {
  readonly partition: number
  readonly key: Buffer
  readonly value: Buffer
  readonly headers: Buffer
}

const selectRecords = `select key_hash % ${PARTITIONS} as partition, key, value, headers from trunkline.outbox order by seq`

/** The records that the relay will send, in its batches, by partition. */
async function readBatches({ pool }: Ground): Promise<readonly (readonly (readonly LogRecord[])[])[]> {
  const { rows } = await pool.query<StoredRecord>(selectRecords)
  const lanes = Array.from({ length: PARTITIONS }, (): LogRecord[][] => [])
  const bytes = lanes.map(() => 0)
  for (const { partition, key, value, headers } of rows) {
    const size = key.length + value.length + headers.length
    const lane = lanes[partition] ?? []
    const last = lane.at(-1)
    const record = { key, value, headers: unpackHeaders(headers), timestampMs: Date.now() }
    if (last === undefined || last.length >= BATCH_SIZE || (bytes[partition] ?? 0) + size > BATCH_BYTES) {
      lane.push([record])
      bytes[partition] = size
    } else {
      last.push(record)
      bytes[partition] = (bytes[partition] ?? 0) + size
    }
  }
  return lanes
}

async function feedRaw({ log, topic }: Ground, lanes: readonly (readonly (readonly LogRecord[])[])[], events: number): Promise<Cost> {
  const signal = AbortSignal.timeout(DRAIN_DEADLINE_MS)
  await log.producer.start(signal)
  const stop = stopwatch()
  await Promise.all(lanes.map((batches, partition) => feedLane(log.producer, { topic, partition }, batches)))
  const cost = stop(events)
  await log.producer.stop(5_000)
  return cost
}

async function feedLane(
  producer: LogProducer,
  target: { topic: string; partition: number },
  batches: readonly (readonly LogRecord[])[],
): Promise<void> {
  for (const records of batches) {
    const outcome = await producer.append(target, records)
    if (outcome.status !== 'acked') throw outcome.reason
  }
}

/** From the first read of the outbox to the removal of its last row. */
async function drain({ backbone, pool }: Ground, events: number): Promise<Cost> {
  const done = Promise.withResolvers<void>()
  const deadline = AbortSignal.timeout(DRAIN_DEADLINE_MS)
  deadline.addEventListener('abort', () => done.reject(deadline.reason))
  let stop = stopwatch()
  let removed = 0
  const off = backbone.diagnostics.on(({ name, fields }) => {
    if (name === 'relay.term_started') stop = stopwatch()
    if (name !== 'relay.removed' || !('messages' in fields)) return
    removed += fields.messages
    if (removed >= events) done.resolve()
  })
  await backbone.start({ run: ['relay'] })
  await done.promise
  const cost = stop(events)
  off()
  const { rows } = await pool.query('select from trunkline.outbox limit 1')
  if (rows.length > 0) throw new Error('The relay said that it removed every row, but the outbox is not empty.')
  return cost
}

function stopwatch(): (events: number) => Cost {
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  return (events) => {
    const seconds = (performance.now() - startedAt) / 1_000
    const { user, system } = process.cpuUsage(cpu)
    return { eventsPerSecond: events / seconds, cpuMicrosPerEvent: (user + system) / events }
  }
}

function describe({ eventsPerSecond, cpuMicrosPerEvent }: Cost): string {
  return `${Math.round(eventsPerSecond)} events/s at ${cpuMicrosPerEvent.toFixed(1)} µs of CPU each`
}
