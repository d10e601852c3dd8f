import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogRecord } from '../src/core/broker/log-producer.ts'
import type { BenchContext } from './context.ts'
import { type BenchClient, bare, ours, oursOnPlatformatic, stock } from './driver-clients.ts'
import { failover } from './driver-failover.ts'
import { javaProducer } from './driver-java.ts'
import { latency } from './driver-latency.ts'
import { processRows } from './driver-processes.ts'
import { median, type Row, toRow } from './result.ts'

const PARTITIONS = 4
const VALUE_BYTES = 300
/** The largest stays below a broker's usual limit of a megabyte, with headers too. */
const BATCH_SIZES = [250, 500, 1_000, 1_600]
const HEADERS = 6
/** So many times as many records are read as are written: reading is faster, and what a client has fetched ahead must not count. */
const READ_TIMES = 3
const ROUND_DEADLINE_MS = 120_000

interface Rates {
  readonly produced: number
  readonly consumed: number
}

/** Both rates of each client, one round after another, so that each round sees the same machine. */
type Round = ReadonlyMap<BenchClient, Rates>

/**
 * The log through our port on each driver, beside kafkajs as it comes and `@platformatic/kafka` as it comes.
 *
 * Every client sends the same finished records to a topic of its own, at its best batch size, and reads one that all of
 * them read.
 */
export async function driver(context: BenchContext): Promise<readonly Row[]> {
  const java = await javaProducer(context)
  if (java !== undefined) context.say(`for scale: Java's ProducerPerformance ${Math.round(java)} records/s`)
  const clients = [stock, bare, ours, oursOnPlatformatic]
  const plain = await rounds(context, clients, 0)
  const withHeaders = await rounds(context, clients, HEADERS)
  return [
    beside('produce / stock kafkajs', plain, ours, stock, 'produced', 2),
    beside('produce / bare @platformatic/kafka', plain, ours, bare, 'produced', 0.9),
    beside('consume / stock kafkajs', plain, ours, stock, 'consumed', 1.3),
    beside('produce with 6 headers / stock kafkajs', withHeaders, ours, stock, 'produced', 4),
    beside('consume with 6 headers / stock kafkajs', withHeaders, ours, stock, 'consumed', 2),
    beside('platformatic: produce / bare', plain, oursOnPlatformatic, bare, 'produced', 0.8),
    beside('platformatic: consume / bare', plain, oursOnPlatformatic, bare, 'consumed', 0.8),
    beside('platformatic: produce with 6 headers / bare', withHeaders, oursOnPlatformatic, bare, 'produced', 0.8),
    beside('platformatic: consume with 6 headers / bare', withHeaders, oursOnPlatformatic, bare, 'consumed', 0.8),
    ...(await latency(context)),
    ...(await processRows(context)),
    ...(await failover(context)),
  ]
}

function beside(name: string, all: readonly Round[], us: BenchClient, them: BenchClient, what: keyof Rates, atLeast: number): Row {
  const rate = (client: BenchClient): number => median(all.map((round) => round.get(client)?.[what] ?? 0))
  const ratio = median(all.map((round) => (round.get(us)?.[what] ?? 0) / (round.get(them)?.[what] ?? Number.POSITIVE_INFINITY)))
  const row = toRow({ bench: 'driver', name, unit: 'records/s', figure: rate(us), baseline: rate(them) })
  return { ...row, ratio: Number(ratio.toPrecision(4)), bar: `ratio >= ${atLeast}`, holds: ratio >= atLeast }
}

async function rounds(context: BenchContext, clients: readonly BenchClient[], headers: number): Promise<readonly Round[]> {
  const filled = await fill(context, headers)
  const best = new Map<BenchClient, number>()
  for (const client of clients) best.set(client, await bestBatchSize(context, client, headers))
  const measured: Round[] = []
  for (let run = 1; run <= context.runs; run++) {
    const round = new Map<BenchClient, Rates>()
    // Each is first as often as it is last.
    for (const client of run % 2 === 0 ? clients.toReversed() : clients) {
      const batchSize = best.get(client) ?? 0
      const produced = await produceRate(context, client, { headers, batchSize, events: context.events })
      collectGarbage()
      const rates = { produced, consumed: await consume(client, context.stack.brokers, filled, context.events * READ_TIMES) }
      round.set(client, rates)
      const figures = `produce ${Math.round(rates.produced)}/s in batches of ${batchSize}, consume ${Math.round(rates.consumed)}/s`
      context.say(`run ${run}, ${headers} headers, ${client.name}: ${figures}`)
    }
    measured.push(round)
  }
  return measured
}

async function bestBatchSize(context: BenchContext, client: BenchClient, headers: number): Promise<number> {
  let best = { batchSize: 0, produced: 0 }
  for (const batchSize of BATCH_SIZES) {
    const produced = await produceRate(context, client, { headers, batchSize, events: context.events / 2 })
    if (produced > best.produced) best = { batchSize, produced }
  }
  return best.batchSize
}

interface Load {
  readonly headers: number
  readonly batchSize: number
  readonly events: number
}

let topics = 0

async function newTopic(brokers: readonly string[]): Promise<string> {
  const name = `trunkline-bench-driver-${process.pid}-${topics++}`
  const { admin } = kafkajsLog({ brokers, clientId: 'bench' })
  try {
    await admin.createTopics([{ name, partitions: PARTITIONS, replicationFactor: 1 }])
    return name
  } finally {
    await admin.close()
  }
}

async function produceRate({ stack }: BenchContext, client: BenchClient, load: Load): Promise<number> {
  return await produce(client, stack.brokers, await newTopic(stack.brokers), load)
}

/** One topic for everybody to read, larger than what a client fetches before it hands over its first record. */
async function fill({ stack, events }: BenchContext, headers: number): Promise<string> {
  const topic = await newTopic(stack.brokers)
  for (let time = 0; time < READ_TIMES; time++) await produce(ours, stack.brokers, topic, { headers, batchSize: 1_000, events })
  return topic
}

/** What was prepared for sending is no part of reading: collecting it has cost more than reading did. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
}

async function produce(client: BenchClient, brokers: readonly string[], topic: string, load: Load): Promise<number> {
  const feeder = await client.feeder(brokers)
  try {
    const lanes = Array.from({ length: PARTITIONS }, (_, partition) =>
      batchesOf(load).map((records) => feeder.prepare(topic, partition, records)),
    )
    const startedAt = performance.now()
    await Promise.all(lanes.map((batches) => inOrder(batches)))
    return load.events / ((performance.now() - startedAt) / 1_000)
  } finally {
    await feeder.stop()
  }
}

async function inOrder(batches: readonly (() => Promise<void>)[]): Promise<void> {
  for (const send of batches) await send()
}

/** The share of one partition. */
function batchesOf({ headers, batchSize, events }: Load): LogRecord[][] {
  const share = Math.ceil(events / PARTITIONS)
  const batches: LogRecord[][] = []
  for (let sent = 0; sent < share; sent += batchSize) {
    batches.push(Array.from({ length: Math.min(batchSize, share - sent) }, () => recordOf(headers)))
  }
  return batches
}

function recordOf(headers: number): LogRecord {
  return {
    key: Buffer.from(crypto.randomUUID()),
    value: Buffer.alloc(VALUE_BYTES, 'x'),
    headers: Array.from({ length: headers }, (_, index) => [`ce_header${index}`, Buffer.from('a value of a header')] as const),
    timestampMs: Date.now(),
  }
}

/** Between the first records that are handed over and the last: joining a group is not reading. */
async function consume(client: BenchClient, brokers: readonly string[], topic: string, wanted: number): Promise<number> {
  const done = Promise.withResolvers<number>()
  const deadline = setTimeout(() => done.reject(new Error(`${client.name} did not read ${wanted} records in time.`)), ROUND_DEADLINE_MS)
  let [first, firstAt, read] = [0, 0, 0]
  const drainer = await client.drainer(brokers, topic, (values) => {
    if (read === 0) [first, firstAt] = [values.length, performance.now()]
    read += values.length
    if (read >= wanted) done.resolve((wanted - first) / ((performance.now() - firstAt) / 1_000))
  })
  try {
    return await done.promise
  } finally {
    clearTimeout(deadline)
    await drainer.stop()
  }
}
