import { Pool } from 'pg'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { createBackbone } from '../src/backbone.ts'
import { fingerprintOf } from '../src/core/contract/codec.ts'
import { contract } from '../src/core/contract/contract.ts'
import { systemClock } from '../src/foundation/clock.ts'
import type { BenchContext } from './context.ts'
import { median, type Row, toRow } from './result.ts'

const PER_SECOND = 500
const SECONDS = 20
/** The first messages find cold connections, no plans, and code of client and broker that is not compiled yet. */
const WARM_UP_SECONDS = 20
const DEADLINE_MS = 60_000

/**
 * From the moment at which a publisher knows its commit to the one at which the consumer knows its effect's, at a
 * steady rate, through Kafka; relay and consumer are in the publisher's process.
 */
export async function latency(context: BenchContext): Promise<readonly Row[]> {
  const runs: { p50: number; p99: number }[] = []
  for (let run = 1; run <= context.runs; run++) {
    const waits = (await onGround(context, run)).toSorted((a, b) => a - b)
    const measured = { p50: quantile(waits, 0.5), p99: quantile(waits, 0.99) }
    runs.push(measured)
    context.say(`run ${run}: p50 ${measured.p50.toFixed(1)} ms, p99 ${measured.p99.toFixed(1)} ms over ${waits.length} messages`)
  }
  const row = { bench: 'latency', unit: 'ms' }
  const name = `commit → effect committed, ${PER_SECOND}/s for ${SECONDS} s after ${WARM_UP_SECONDS} s of warming up`
  return [
    toRow({ ...row, name: `${name}, p50`, figure: median(runs.map(({ p50 }) => p50)), atMost: 6 }),
    toRow({ ...row, name: `${name}, p99`, figure: median(runs.map(({ p99 }) => p99)), atMost: 25 }),
  ]
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

interface Data {
  readonly orderId: string
}

function measuredOn(topic: string) {
  const schema = { type: 'record', name: 'bench.Measured', fields: [{ name: 'orderId', type: 'string' }] }
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

async function onGround({ stack }: BenchContext, run: number): Promise<readonly number[]> {
  const name = `trunkline-bench-latency-${process.pid}-${run}`
  const connectionString = stack.databaseUrlOf(name)
  await createDatabase(stack.databaseUrl, name)
  await migrate(connectionString)
  const pool = new Pool({ connectionString, max: 1 })
  const log = kafkajsLog({ brokers: stack.brokers, clientId: 'bench' })
  try {
    await pool.query('create table effect (id uuid primary key)')
    await log.admin.createTopics([{ name, partitions: 4, replicationFactor: 1 }])
    return await measure(name, connectionString, stack.brokers)
  } finally {
    await log.admin.close()
    await pool.end()
    await dropDatabases(stack.databaseUrl, name)
  }
}

async function measure(topic: string, connectionString: string, brokers: readonly string[]): Promise<readonly number[]> {
  const Measured = measuredOn(topic)
  const backbone = createBackbone({
    service: topic,
    kafka: { driver: 'kafkajs', brokers: [...brokers] },
    database: { connectionString, maxConnections: 20, connectTimeout: '1m' },
    logger: false,
  })
  const orderOf = new Map<string, string>()
  const committedAt = new Map<string, number>()
  const appliedAt = new Map<string, number>()
  backbone.subscribe(Measured, async ({ id, data }, { tx }) => {
    orderOf.set(id, data.orderId)
    await tx.query('insert into effect (id) values ($1)', [data.orderId])
  })
  backbone.diagnostics.on(({ name, fields }) => {
    if (name === 'delivery.applied' && 'id' in fields) appliedAt.set(orderOf.get(fields.id) ?? '', performance.now())
  })
  const total = PER_SECOND * (SECONDS + WARM_UP_SECONDS)
  try {
    await backbone.start()
    await publishSteadily(total, async () => {
      const orderId = crypto.randomUUID()
      await backbone.transaction((tx) => backbone.publish(tx, Measured({ orderId })))
      committedAt.set(orderId, performance.now())
    })
    const deadline = AbortSignal.timeout(DEADLINE_MS)
    while (appliedAt.size < total) {
      deadline.throwIfAborted()
      await systemClock.sleep(20)
    }
  } finally {
    await backbone.stop()
  }
  // In the order in which they were committed. An effect may be known before the publisher hears of its own commit.
  const waits = [...committedAt].map(([orderId, at]) => Math.max(0, (appliedAt.get(orderId) ?? Number.POSITIVE_INFINITY) - at))
  return waits.slice(PER_SECOND * WARM_UP_SECONDS)
}

/** Each at its time, whether those before it are done or not: a publisher that waits would hide what it waits for. */
async function publishSteadily(total: number, publish: () => Promise<void>): Promise<void> {
  const startedAt = performance.now()
  const running: Promise<void>[] = []
  while (running.length < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAt) / 1_000) * PER_SECOND))
    while (running.length < due) running.push(publish())
    await systemClock.sleep(1)
  }
  await Promise.all(running)
}
