import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { BenchContext } from './context.ts'
import { fillOutbox, type Ground, onGround } from './outbox-ground.ts'
import { type Row, toRow } from './result.ts'

/** The large backlog has so many times the rows of the small one. */
const TIMES = 50
const IDLE_MS = 10_000

const reportSchema = z.object({ eventsPerSecond: z.number(), rssMax: z.number(), idleShare: z.number(), queriesPerSecond: z.number() })
type Report = z.output<typeof reportSchema>

/** A backlog fifty times as long is drained as fast, in the same memory; and a relay with nothing to do does next to nothing. */
export async function growth(context: BenchContext): Promise<readonly Row[]> {
  const short = await drained(context, context.events, 'growth-short')
  context.say(`${context.events} rows: ${describe(short)}`)
  const long = await drained(context, context.events * TIMES, 'growth-long')
  context.say(`${context.events * TIMES} rows: ${describe(long)}`)
  const rate = toRow({
    bench: 'growth',
    name: `drain of ${context.events * TIMES} rows beside ${context.events}`,
    unit: 'events/s',
    figure: long.eventsPerSecond,
    baseline: short.eventsPerSecond,
  })
  return [
    { ...rate, bar: 'ratio >= 0.85', holds: (rate.ratio ?? 0) >= 0.85 },
    toRow({ bench: 'growth', name: 'memory of the relay, at most', unit: 'MB', figure: long.rssMax / 1e6, atMost: 300 }),
    toRow({ bench: 'growth', name: 'idle relay', unit: '% of a core', figure: long.idleShare * 100, atMost: 0.5 }),
    toRow({ bench: 'growth', name: 'idle relay', unit: 'queries/s', figure: long.queriesPerSecond, atMost: 20 }),
  ]
}

function describe({ eventsPerSecond, rssMax, idleShare, queriesPerSecond }: Report): string {
  return `${Math.round(eventsPerSecond)} events/s, ${Math.round(rssMax / 1e6)} MB; idle ${(idleShare * 100).toFixed(2)} % of a core, ${queriesPerSecond.toFixed(1)} queries/s`
}

async function drained(context: BenchContext, events: number, label: string): Promise<Report> {
  return await onGround(context, label, async (ground) => {
    // A thousand are published; the others are those again, as the table has them.
    await fillOutbox(ground, 1_000)
    await ground.pool.query(multiplySql, [Math.ceil(events / 1_000) - 1])
    await ground.pool.query('vacuum (analyze) trunkline.outbox')
    return await relayAlone(context, ground, events)
  })
}

/** The relay in a process of its own, so that its memory is its own. */
async function relayAlone({ stack }: BenchContext, { connectionString }: Ground, events: number): Promise<Report> {
  const plan = { brokers: stack.brokers, connectionString, events, idleMs: IDLE_MS }
  const child = fork(fileURLToPath(new URL('./programs/relay.ts', import.meta.url)), [JSON.stringify(plan)])
  try {
    const [message] = await once(child, 'message')
    return reportSchema.parse(message)
  } finally {
    child.kill('SIGKILL')
  }
}

const multiplySql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  select bucket, (hashint8(copy * 1000 + seq) & 2147483647), topic, gen_random_uuid(), key, value, headers
    from generate_series(1, $1::int) as copy, (select * from trunkline.outbox order by seq limit 1000) as first`
