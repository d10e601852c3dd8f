import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogRecord } from '../src/core/broker/log-producer.ts'
import type { BenchContext } from './context.ts'
import { type BenchClient, bare, type Feeder, ours, oursOnPlatformatic, recordFor } from './driver-clients.ts'
import { median, type Row, toRow } from './result.ts'

const PARTITIONS = 4
const PER_SECOND = 500
const SECONDS = 4
/** Rounds beyond those of the other rows: the slowest in a hundred is a matter of chance. */
const MORE_ROUNDS = 2
/** Before the compiler and the connections are warm. */
const WARM_UP = PER_SECOND
const RATIO_AT_MOST = 1.2

interface Percentiles {
  readonly p50: number
  readonly p99: number
}

/** From the moment a record is given to the producer until a consumer's listener has it, at 500 a second. */
export async function latency(context: BenchContext): Promise<readonly Row[]> {
  const clients = [ours, oursOnPlatformatic, bare]
  const waits = new Map<BenchClient, Percentiles[]>(clients.map((client) => [client, []]))
  for (let run = 1; run <= context.runs + MORE_ROUNDS; run++) {
    for (const client of run % 2 === 0 ? clients.toReversed() : clients) {
      const measured = await measure(context, client, `${process.pid}-${clients.indexOf(client)}-${run}`)
      // Whoever is first pays for what is compiled for all: 39 ms at the slowest hundredth, where later rounds have 3.
      if (run > 1) waits.get(client)?.push(measured)
      const { p50, p99 } = measured
      context.say(`run ${run}, produced to handed over, ${client.name}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
    }
  }
  const them = waits.get(bare) ?? []
  return [...rowsOf('', waits.get(ours) ?? [], them), ...rowsOf('platformatic: ', waits.get(oursOnPlatformatic) ?? [], them)]
}

function rowsOf(prefix: string, us: readonly Percentiles[], them: readonly Percentiles[]): Row[] {
  return (['p50', 'p99'] as const).map((which) => {
    const [figure, baseline] = [median(us.map((each) => each[which])), median(them.map((each) => each[which]))]
    const ratio = median(us.map((each, run) => each[which] / (them[run]?.[which] ?? 0)))
    const name = `${prefix}produced → handed over, ${which}, at ${PER_SECOND}/s`
    const row = toRow({ bench: 'driver', name, unit: 'ms', figure, baseline })
    return { ...row, ratio: Number(ratio.toPrecision(4)), bar: `ratio <= ${RATIO_AT_MOST}`, holds: ratio <= RATIO_AT_MOST }
  })
}

async function measure({ stack }: BenchContext, client: BenchClient, name: string): Promise<Percentiles> {
  const topic = `trunkline-bench-latency-${name}`
  const { admin } = kafkajsLog({ brokers: stack.brokers, clientId: 'bench' })
  await admin.createTopics([{ name: topic, partitions: PARTITIONS, replicationFactor: 1 }])
  await admin.close()
  const waits: number[] = []
  const all = Promise.withResolvers<void>()
  const wanted = WARM_UP + PER_SECOND * SECONDS
  const drainer = await client.drainer(stack.brokers, topic, (values) => {
    const now = performance.now()
    for (const value of values) waits.push(now - (value?.readDoubleBE(0) ?? 0))
    if (waits.length >= wanted) all.resolve()
  })
  const feeder = await client.feeder(stack.brokers)
  try {
    await sendAtRate(feeder, topic, wanted)
    await all.promise
  } finally {
    await feeder.stop()
    await drainer.stop()
  }
  const sorted = waits.slice(WARM_UP).toSorted((a, b) => a - b)
  return { p50: sorted[Math.floor(sorted.length * 0.5)] ?? 0, p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 }
}

/** What becomes due while a batch of its partition is in flight leaves with the next. */
async function sendAtRate(feeder: Feeder, topic: string, count: number): Promise<void> {
  const lanes = Array.from({ length: PARTITIONS }, (_, partition) => new Lane(feeder, topic, partition))
  const startedAt = performance.now()
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedAt) / 1_000) * PER_SECOND))
    for (; sent < due; sent++) lanes[sent % PARTITIONS]?.add()
    await sleep(1)
  }
  await Promise.all(lanes.map((lane) => lane.idle()))
}

class Lane {
  readonly #feeder: Feeder
  readonly #topic: string
  readonly #partition: number
  #waiting: LogRecord[] = []
  #sending: Promise<void> | undefined

  constructor(feeder: Feeder, topic: string, partition: number) {
    this.#feeder = feeder
    this.#topic = topic
    this.#partition = partition
  }

  add(): void {
    this.#waiting.push(recordFor(performance.now()))
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
    })
  }

  async idle(): Promise<void> {
    await this.#sending
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      await this.#feeder.prepare(this.#topic, this.#partition, batch)()
    }
  }
}
