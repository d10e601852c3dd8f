import { Pool } from 'pg'
import { createPool } from '../src/adapters/postgres/database.ts'
import { BATCH_SIZE, consumed, effectSql, type Ground, makeRecords, onGround, stopwatch, TOPIC } from './consume-ground.ts'
import type { BenchContext } from './context.ts'
import { median, type Row, toRow } from './result.ts'
import { serverCpuMicros } from './server-cpu.ts'

const PARKED_KEYS = 10_000
/** One transaction per message takes so much longer that a part of the messages has to do. */
const ALONE_SHARE = 20
/** More of them than connections for effect transactions would only wait. */
const PARTITIONS = 8

interface Rates {
  readonly alone: number
  readonly pipelined: number
  readonly inOrder: number
  readonly interleaved: number
  readonly poisonInOrder: number
  readonly poisonInterleaved: number
  readonly parked: number
  readonly spread: number
}

/**
 * Applies messages that stand in a log in memory, one insert each, and beside it does the same by hand: one
 * transaction per message, and batches in one transaction with pipelined statements.
 *
 * One partition, so that one connection is compared with one connection; eight show how far they go together.
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
    toRow({ ...row, name: `in order, ${PARTITIONS} partitions`, figure: rate('spread'), baseline: rate('inOrder') }),
    toRow({ ...times, name: 'interleave with 1 % poison / without', figure: ratio('poisonInterleaved', 'interleaved'), atLeast: 0.5 }),
  ]
}

async function measureAll(context: BenchContext, run: number): Promise<Rates> {
  const records = await makeRecords(context.events)
  const pids = context.stack.servers.filter(({ name }) => name === 'PostgreSQL').flatMap((server) => server.pids)
  const measure = async (name: string, work: (ground: Ground) => Promise<number>): Promise<number> => {
    const { rate, used } = await onGround(context, `${run}-${name}`, async (connectionString) => {
      const usage = usageOf(pids)
      return { rate: await work({ connectionString, records }), used: usage() }
    })
    context.say(`run ${run}: ${name} ${Math.round(rate)} messages/s; of a core, ${used}`)
    return rate
  }
  return {
    alone: await measure('alone', oneByOne),
    pipelined: await measure('pipelined', pipelinedBatches),
    inOrder: await measure('in-order', (ground) => consumed(ground)),
    interleaved: await measure('interleaved', (ground) => consumed(ground, { interleave: true })),
    parked: await measure('parked', async (ground) => {
      await park(ground.connectionString)
      return await consumed(ground)
    }),
    spread: await measure('spread', (ground) => consumed(ground, {}, { partitions: PARTITIONS })),
    poisonInOrder: await measure('poison', (ground) => consumed(ground, { retry: { inline: 0, delays: [] } }, { poison: true })),
    poisonInterleaved: await measure('poison-interleaved', (ground) =>
      consumed(ground, { interleave: true, retry: { inline: 0, delays: [] } }, { poison: true }),
    ),
  }
}

/** @returns a function that says how much of a core each side has used since */
function usageOf(pids: readonly number[]): () => string {
  const [began, own, server] = [performance.now(), process.cpuUsage(), serverCpuMicros(pids)]
  return () => {
    const { user, system } = process.cpuUsage(own)
    const share = (micros: number): string => `${Math.round(micros / 10 / (performance.now() - began))} %`
    return `this process ${share(user + system)}, PostgreSQL ${share(serverCpuMicros(pids) - server)}`
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
