import { Pool } from 'pg'
import { MemoryLog } from '../src/adapters/memory/memory-log.ts'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { createBackbone } from '../src/backbone.ts'
import type { LogRecord } from '../src/core/broker/log-producer.ts'
import type { SubscriptionOptions } from '../src/core/consume/registry.ts'
import { fingerprintOf } from '../src/core/contract/codec.ts'
import { contract } from '../src/core/contract/contract.ts'
import type { BenchContext } from './context.ts'
import { writtenRecord } from './written-record.ts'

export const TOPIC = 'measured'
export const BATCH_SIZE = 500
const POISON_EVERY = 100
const DEADLINE_MS = 300_000

export interface Ground {
  readonly connectionString: string
  readonly records: readonly LogRecord[]
}

const schema = {
  type: 'record',
  name: 'bench.Measured',
  fields: [
    { name: 'orderId', type: 'string' },
    { name: 'cents', type: 'int' },
    { name: 'padding', type: 'string' },
  ],
}

interface Data {
  readonly orderId: string
  readonly cents: number
  readonly padding: string
}

const Measured = contract<{ kind: 'event'; name: 'bench.Measured'; input: Data; data: Data; reply: void }>({
  kind: 'event',
  name: 'bench.Measured',
  version: 1,
  topic: TOPIC,
  key: 'orderId',
  replies: [],
  versions: [{ version: 1, fingerprint: fingerprintOf(schema), schema }],
})

/** One key each. */
export async function makeRecords(count: number): Promise<readonly LogRecord[]> {
  const padding = 'x'.repeat(240)
  return Array.from({ length: count }, (_, cents) => writtenRecord(Measured.definition, (orderId) => ({ orderId, cents, padding })))
}

export async function onGround<Result>(
  { stack }: BenchContext,
  name: string,
  work: (connectionString: string) => Promise<Result>,
): Promise<Result> {
  const database = `trunkline-bench-consume-${process.pid}-${name}`
  const connectionString = stack.databaseUrlOf(database)
  await createDatabase(stack.databaseUrl, database)
  try {
    await migrate(connectionString)
    const pool = new Pool({ connectionString, max: 1 })
    await pool.query('create table effect (id uuid primary key, cents int not null)')
    await pool.end()
    return await work(connectionString)
  } finally {
    await dropDatabases(stack.databaseUrl, database)
  }
}

export const effectSql = 'insert into effect (id, cents) values ($1, $2)'

export interface How {
  /** Whether one message in a hundred fails. */
  readonly poison?: boolean
  readonly partitions?: number
}

/** The product. A poisonous message throws after its statement: the worst that a handler can do to a batch. */
export async function consumed({ connectionString, records }: Ground, options: SubscriptionOptions = {}, how: How = {}): Promise<number> {
  const { poison = false, partitions = 1 } = how
  const log = new MemoryLog()
  const { admin, producer } = log.driver()
  await admin.createTopics([{ name: TOPIC, partitions, replicationFactor: 1 }])
  for (let batch = 0; batch * BATCH_SIZE < records.length; batch++) {
    const some = records.slice(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE)
    const outcome = await producer.append({ topic: TOPIC, partition: batch % partitions }, some)
    if (outcome.status !== 'acked') throw outcome.reason
  }
  const backbone = createBackbone({ service: 'bench', kafka: { driver: 'memory', log }, database: { connectionString }, logger: false })
  backbone.subscribe(
    Measured,
    async ({ data }, { tx }) => {
      await tx.query(effectSql, [data.orderId, data.cents])
      if (poison && data.cents % POISON_EVERY === 50) throw new Error('This message always fails.')
    },
    { ...options, batch: { size: BATCH_SIZE } },
  )
  const done = Promise.withResolvers<void>()
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  deadline.addEventListener('abort', () => done.reject(deadline.reason))
  let stop = stopwatch()
  let settled = 0
  let begun = false
  backbone.diagnostics.on(({ name, fields }) => {
    if (name === 'batch.began' && !begun) {
      begun = true
      stop = stopwatch()
    }
    if (name !== 'batch.committed' || !('messages' in fields)) return
    settled += fields.messages
    if (settled >= records.length) done.resolve()
  })
  try {
    await backbone.start({ run: ['consume'] })
    await done.promise
    const rate = stop(records.length)
    await checkEffects(connectionString, records.length - (poison ? Math.ceil((records.length - 50) / POISON_EVERY) : 0))
    return rate
  } finally {
    await backbone.stop()
  }
}

/** A figure of something that did not do its work says nothing. */
async function checkEffects(connectionString: string, expected: number): Promise<void> {
  const pool = new Pool({ connectionString, max: 1 })
  const { rows } = await pool.query<{ count: number }>('select count(*)::int as count from effect')
  await pool.end()
  if (rows[0]?.count !== expected) throw new Error(`There are ${rows[0]?.count} effects, ${expected} were expected.`)
}

export function stopwatch(): (messages: number) => number {
  const startedAt = performance.now()
  return (messages) => messages / ((performance.now() - startedAt) / 1_000)
}
