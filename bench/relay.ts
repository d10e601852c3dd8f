import { performance } from 'node:perf_hooks'
import type { LogProducer, LogRecord, StoredRecord } from '../src/core/broker/log-producer.ts'
import type { BenchContext } from './context.ts'
import { fillOutbox, type Ground, onGround, PARTITIONS } from './outbox-ground.ts'
import { pgTransactionalOutbox } from './pg-transactional-outbox.ts'
import { median, type Row, toRow } from './result.ts'
import { skipLocked } from './skip-locked.ts'

/** The relay's own defaults, so that both send batches of the same size. */
const BATCH_SIZE = 1_000
const BATCH_BYTES = 524_288
const DRAIN_DEADLINE_MS = 300_000
const SKIP_LOCKED_EVENTS = 3_000

interface Cost {
  readonly eventsPerSecond: number
  readonly cpuMicrosPerEvent: number
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
    const { raw, relayed } = await onGround(context, `relay-${run}`, (ground) => measureBoth(ground, context))
    raws.push(raw)
    relays.push(relayed)
    context.say(`run ${run}: raw producer ${describe(raw)}; relay ${describe(relayed)}`)
  }
  const above = relays.map((cost, run) => cost.cpuMicrosPerEvent - (raws[run]?.cpuMicrosPerEvent ?? 0))
  const rate = (costs: readonly Cost[]): number => median(costs.map((cost) => cost.eventsPerSecond))
  return [
    toRow({ bench: 'relay', name: 'drain of a backlog', unit: 'events/s', figure: rate(relays), baseline: rate(raws), atLeast: 60_000 }),
    ...(await forScale(context, rate(relays))),
    toRow({ bench: 'relay', name: 'our CPU above the raw producer', unit: 'µs/event', figure: median(above), atMost: 8 }),
  ]
}

/** What most services begin with: rows one by one, locked while they are sent, in no order as soon as two of it run; and the one comparable package. */
async function forScale(context: BenchContext, ours: number): Promise<Row[]> {
  const rate = await onGround(context, 'skip-locked', async (ground) => {
    await fillOutbox(ground, SKIP_LOCKED_EVENTS)
    return await skipLocked(ground, SKIP_LOCKED_EVENTS)
  })
  context.say(`a SKIP LOCKED relay that sends row by row: ${Math.round(rate)} events/s`)
  const peer = await pgTransactionalOutbox(context, SKIP_LOCKED_EVENTS)
  context.say(`pg-transactional-outbox, polling: ${Math.round(peer)} events/s`)
  return [
    toRow({ bench: 'relay', name: 'beside SKIP LOCKED, row by row (for scale)', unit: 'events/s', figure: ours, baseline: rate }),
    toRow({ bench: 'relay', name: 'beside pg-transactional-outbox, polling (for scale)', unit: 'events/s', figure: ours, baseline: peer }),
  ]
}

async function measureBoth(ground: Ground, { events }: BenchContext): Promise<{ raw: Cost; relayed: Cost }> {
  await fillOutbox(ground, events)
  const raw = await feedRaw(ground, await readBatches(ground), events)
  const relayed = await drain(ground, events)
  return { raw, relayed }
}

interface OutboxRecord {
  readonly partition: number
  readonly key: Buffer
  readonly value: Buffer
  readonly headers: Buffer
}

const selectRecords = `select key_hash % ${PARTITIONS} as partition, key, value, headers from trunkline.outbox order by seq`

/** The records that the relay will send, in its batches, by partition. */
async function readBatches({ pool }: Ground): Promise<readonly (readonly (readonly LogRecord[])[])[]> {
  const { rows } = await pool.query<OutboxRecord>(selectRecords)
  const lanes = Array.from({ length: PARTITIONS }, (): LogRecord[][] => [])
  const bytes = lanes.map(() => 0)
  for (const { partition, key, value, headers } of rows) {
    const size = key.length + value.length + headers.length
    const lane = lanes[partition] ?? []
    const last = lane.at(-1)
    const record = { key, value, headers: [], stored: storedOf(key, value, headers), timestampMs: Date.now() }
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

function storedOf(...parts: readonly Buffer[]): StoredRecord {
  const lengths = parts.map(({ length }) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(length)
    return bytes
  })
  return { memory: Buffer.concat(parts.flatMap((part, index) => [lengths[index] ?? part, part])), at: 0 }
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
