import { Pool } from 'pg'
import { MemoryLog } from '../src/adapters/memory/memory-log.ts'
import { createPool } from '../src/adapters/postgres/database.ts'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { createBackbone } from '../src/backbone.ts'
import type { LogRecord } from '../src/core/broker/log-producer.ts'
import type { SubscriptionOptions } from '../src/core/consume/registry.ts'
import { encodePayload, fingerprintOf } from '../src/core/contract/codec.ts'
import { contract } from '../src/core/contract/contract.ts'
import { toHeaders } from '../src/core/envelope/headers.ts'
import { newMessageId } from '../src/foundation/ids.ts'
import type { BenchContext } from './context.ts'
import { median, type Row, toRow } from './result.ts'

const TOPIC = 'measured'
const BATCH_SIZE = 500
const POISON_EVERY = 100
const PARKED_KEYS = 10_000
/** One transaction per message takes so much longer that a part of the messages has to do. */
const ALONE_SHARE = 20
const DEADLINE_MS = 300_000

interface Ground {
  readonly connectionString: string
  readonly records: readonly LogRecord[]
}

interface Rates {
  readonly alone: number
  readonly pipelined: number
  readonly inOrder: number
  readonly interleaved: number
  readonly poisonInOrder: number
  readonly poisonInterleaved: number
  readonly parked: number
}

/**
 * Applies messages that stand in a log in memory, one insert each, and beside it does the same by hand: one
 * transaction per message, and batches in one transaction with pipelined statements.
 *
 * One partition, so that one connection is compared with one connection.
 */
export async function consume(context: BenchContext): Promise<readonly Row[]> {
  const runs: Rates[] = []
  for (let run = 1; run <= context.runs; run++) {
    const rates = await measureAll(context, run)
    runs.push(rates)
  }
  const rate = (of: keyof Rates): number => median(runs.map((rates) => rates[of]))
  const ratio = (of: keyof Rates, to: keyof Rates): number => median(runs.map((rates) => rates[of] / rates[to]))
  const row = { bench: 'consume', unit: 'messages/s' }
  const times = { bench: 'consume', unit: '×' }
  return [
    toRow({ ...row, name: 'in order', figure: rate('inOrder'), baseline: rate('alone'), atLeast: 6_000 }),
    toRow({ ...times, name: 'in order / one transaction per message', figure: ratio('inOrder', 'alone'), atLeast: 6 }),
    toRow({ ...row, name: 'interleave', figure: rate('interleaved'), baseline: rate('pipelined'), atLeast: 20_000 }),
    toRow({ ...times, name: 'interleave / one transaction per message', figure: ratio('interleaved', 'alone'), atLeast: 25 }),
    toRow({ ...times, name: 'interleave / a bare pipelined batch loop', figure: ratio('interleaved', 'pipelined'), atLeast: 0.7 }),
    toRow({ ...times, name: 'in order with 1 % poison / without', figure: ratio('poisonInOrder', 'inOrder'), atLeast: 0.5 }),
    toRow({ ...times, name: `in order beside ${PARKED_KEYS} parked keys / without`, figure: ratio('parked', 'inOrder'), atLeast: 0.9 }),
    toRow({ ...times, name: 'interleave with 1 % poison / without', figure: ratio('poisonInterleaved', 'interleaved'), atLeast: 0.5 }),
  ]
}

async function measureAll(context: BenchContext, run: number): Promise<Rates> {
  const records = await makeRecords(context.events)
  const measure = async (name: string, work: (ground: Ground) => Promise<number>): Promise<number> => {
    const rate = await onGround(context, `${run}-${name}`, (connectionString) => work({ connectionString, records }))
    context.say(`run ${run}: ${name} ${Math.round(rate)} messages/s`)
    return rate
  }
  return {
    alone: await measure('alone', oneByOne),
    pipelined: await measure('pipelined', pipelinedBatches),
    inOrder: await measure('in-order', (ground) => consumed(ground, {}, false)),
    interleaved: await measure('interleaved', (ground) => consumed(ground, { interleave: true }, false)),
    parked: await measure('parked', async (ground) => {
      await park(ground.connectionString)
      return await consumed(ground, {}, false)
    }),
    poisonInOrder: await measure('poison', (ground) => consumed(ground, { retry: { inline: 0, delays: [] } }, true)),
    poisonInterleaved: await measure('poison-interleaved', (ground) =>
      consumed(ground, { interleave: true, retry: { inline: 0, delays: [] } }, true),
    ),
  }
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

/** As a relay would have written them: one key each, six headers and more. */
async function makeRecords(count: number): Promise<readonly LogRecord[]> {
  const padding = 'x'.repeat(240)
  return Array.from({ length: count }, (_, index) => {
    const id = newMessageId()
    const data = encodePayload(Measured.definition, { orderId: id, cents: index, padding })
    const headers = toHeaders({
      specversion: '1.0',
      id,
      source: '/bench',
      type: 'bench.Measured.v1',
      time: new Date().toISOString(),
      datacontenttype: 'application/avro',
      subject: id,
      correlationid: id,
      causationid: null,
      traceparent: null,
      tracestate: null,
      partitionkey: null,
      extensions: {},
      data,
    })
    return { key: Buffer.from(id), value: data, headers, timestampMs: Date.now() }
  })
}

async function onGround({ stack }: BenchContext, name: string, work: (connectionString: string) => Promise<number>): Promise<number> {
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

/** Other keys of the group wait: half of them for a retry that is far away, half for a build that has their handler. */
async function park(connectionString: string): Promise<void> {
  const pool = new Pool({ connectionString, max: 1 })
  await pool.query(
    `insert into trunkline.parked_key (consumer_group, topic, key_hash, key, due)
     select 'bench', $1, sha256(n::text::bytea), n::text::bytea, trunkline.now() + (n % 2) * interval '1 day'
       from generate_series(1, $2::int) as n`,
    [TOPIC, PARKED_KEYS],
  )
  await pool.query(
    `insert into trunkline.parked_message (
       consumer_group, id, type, name, key_topic, key_hash, state, attempts, reason_code, reason,
       topic, partition, record_offset, record_key, record_value, record_headers, record_timestamp_ms)
     select consumer_group, gen_random_uuid(), 'bench.Elsewhere.v1', 'bench.Elsewhere', topic, key_hash, 'waiting', 1, 'X', 'x',
            topic, 0, 0, key, key, ''::bytea, 0
       from trunkline.parked_key`,
  )
  await pool.query('analyze trunkline.parked_key, trunkline.parked_message')
  await pool.end()
}

const effectSql = 'insert into effect (id, cents) values ($1, $2)'

/** By hand: a connection, and for each message a transaction with its inbox row and its effect. */
async function oneByOne({ connectionString, records }: Ground): Promise<number> {
  const part = records.slice(0, Math.ceil(records.length / ALONE_SHARE))
  const pool = new Pool({ connectionString, max: 1 })
  const client = await pool.connect()
  await client.query('create table seen (id uuid primary key)')
  const stop = stopwatch()
  for (const [index, record] of part.entries()) {
    const id = String(record.key)
    await client.query('begin')
    await client.query('insert into seen (id) values ($1) on conflict do nothing', [id])
    await client.query(effectSql, [id, index])
    await client.query('commit')
  }
  const rate = stop(part.length)
  client.release()
  await pool.end()
  return rate
}

/** By hand: the inbox rows of a batch by one statement, its effects pipelined, one COMMIT. */
async function pipelinedBatches({ connectionString, records }: Ground): Promise<number> {
  const pool = createPool({
    connection: { connectionString },
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    answerTimeoutMs: 60_000,
    applicationName: 'bench',
  })
  const client = await pool.connect()
  await client.query('create table seen (id uuid primary key)')
  const stop = stopwatch()
  for (let from = 0; from < records.length; from += BATCH_SIZE) {
    const ids = records.slice(from, from + BATCH_SIZE).map(({ key }) => String(key))
    await Promise.all([
      client.query('begin'),
      client.query('insert into seen (id) select unnest($1::uuid[]) on conflict do nothing returning id', [ids]),
      ...ids.map((id, index) => client.query(effectSql, [id, from + index])),
      client.query('commit'),
    ])
  }
  const rate = stop(records.length)
  client.release()
  await pool.end()
  return rate
}

/** The product. A poisonous message throws after its statement: the worst that a handler can do to a batch. */
async function consumed({ connectionString, records }: Ground, options: SubscriptionOptions, poison: boolean): Promise<number> {
  const log = new MemoryLog()
  const { admin, producer } = log.driver()
  await admin.createTopics([{ name: TOPIC, partitions: 1, replicationFactor: 1 }])
  for (let from = 0; from < records.length; from += BATCH_SIZE) {
    const outcome = await producer.append({ topic: TOPIC, partition: 0 }, records.slice(from, from + BATCH_SIZE))
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

function stopwatch(): (messages: number) => number {
  const startedAt = performance.now()
  return (messages) => messages / ((performance.now() - startedAt) / 1_000)
}
