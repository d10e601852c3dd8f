import { Pool } from 'pg'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { type Backbone, createBackbone } from '../src/backbone.ts'
import type { LogDriver } from '../src/core/broker/log-driver.ts'
import { fingerprintOf } from '../src/core/contract/codec.ts'
import { contract } from '../src/core/contract/contract.ts'
import type { BenchContext } from './context.ts'

export const PARTITIONS = 4
const VALUE_BYTES = 300
const TRANSACTION_SIZE = 1_000

/** A database, a topic and connections of one measurement. */
export interface Ground {
  readonly connectionString: string
  readonly backbone: Backbone
  readonly log: LogDriver
  readonly pool: Pool
  readonly topic: string
}

/** They are gone at its end. */
export async function onGround<Result>({ stack }: BenchContext, label: string, work: (ground: Ground) => Promise<Result>): Promise<Result> {
  const name = `trunkline-bench-${label}-${process.pid}`
  const connectionString = stack.databaseUrlOf(name)
  await createDatabase(stack.databaseUrl, name)
  await migrate(connectionString)
  const pool = new Pool({ connectionString, max: 4 })
  const log = kafkajsLog({ brokers: stack.brokers, clientId: 'bench' })
  const kafka = { driver: 'kafkajs' as const, brokers: [...stack.brokers] }
  const backbone = createBackbone({
    service: 'bench',
    kafka,
    database: { connectionString, maxConnections: 16 },
    outbox: { rowsMax: 1_000_000_000 },
    logger: false,
  })
  try {
    await log.admin.createTopics([{ name, partitions: PARTITIONS, replicationFactor: 1 }])
    return await work({ connectionString, backbone, log, pool, topic: name })
  } finally {
    await backbone.stop()
    await log.admin.close()
    await pool.end()
    await dropDatabases(stack.databaseUrl, name)
  }
}

export async function fillOutbox({ backbone, pool, topic }: Ground, events: number): Promise<void> {
  const Measured = measuredContract(topic)
  for (let sent = 0; sent < events; sent += TRANSACTION_SIZE) {
    const count = Math.min(TRANSACTION_SIZE, events - sent)
    const messages = Array.from({ length: count }, () => Measured(measuredData()))
    await backbone.transaction((tx) => backbone.publish(tx, messages))
  }
  await pool.query('vacuum (analyze) trunkline.outbox')
}

export interface MeasuredData {
  readonly orderId: string
  readonly padding: string
}

const padding = 'x'.repeat(VALUE_BYTES - 10 - 2 - 36 - 2)

export function measuredData(): MeasuredData {
  return { orderId: crypto.randomUUID(), padding }
}

/** An event with a value of 300 bytes. */
export function measuredContract(topic: string) {
  const fields = [
    { name: 'orderId', type: 'string' },
    { name: 'padding', type: 'string' },
  ]
  const schema = { type: 'record', name: 'bench.Measured', fields }
  return contract<{ kind: 'event'; name: 'bench.Measured'; input: MeasuredData; data: MeasuredData; reply: void }>({
    kind: 'event',
    name: 'bench.Measured',
    version: 1,
    topic,
    key: 'orderId',
    replies: [],
    versions: [{ version: 1, fingerprint: fingerprintOf(schema), schema }],
  })
}
