import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { z } from 'zod'
import type { BenchContext } from './context.ts'
import { type Ground, onGround } from './outbox-ground.ts'
import { median, type Row, toRow } from './result.ts'
import { type Latencies, TimedRelay } from './timed-relay.ts'

const STAND_BYS = 5
const PER_SECOND = 500
const WINDOW_MS = 8_000
/** In the first minutes after a start V8 collects an idle heap up to three times, each at the price of 20 s of looking: a shorter window weighs it wrongly. */
const IDLE_MS = 60_000

const costSchema = z.object({ inOffice: z.boolean(), share: z.number(), rss: z.number() })
type Cost = z.output<typeof costSchema>

interface Idleness {
  readonly costs: readonly Cost[]
  readonly queriesPerSecond: number
}

/** Relays that stand by cost the owner nothing, and themselves little. */
export async function standby(context: BenchContext): Promise<readonly Row[]> {
  return await onGround(context, 'standby', async (ground) => {
    const relays: ChildProcess[] = []
    try {
      const { alone, accompanied } = await measureAcked(context, ground, relays)
      for (const relay of relays.splice(0)) await ended(relay)
      const idle = await measureIdle(context, ground, relays)
      return [
        row('acked with five standing by, p50', 'ms', accompanied.p50, 4, alone.p50),
        row('acked with five standing by, p99', 'ms', accompanied.p99, 15, alone.p99),
        ...idle,
      ]
    } finally {
      for (const relay of relays) await ended(relay)
    }
  })
}

async function measureAcked(
  context: BenchContext,
  ground: Ground,
  relays: ChildProcess[],
): Promise<{ alone: Latencies; accompanied: Latencies }> {
  const relay = new TimedRelay(ground.connectionString, context.stack.brokers)
  await relay.start()
  try {
    // The first seconds are for the compiler.
    await relay.publish(ground.topic, PER_SECOND, 3_000)
    const alone = await relay.latencies(() => relay.publish(ground.topic, PER_SECOND, WINDOW_MS))
    for (let number = 0; number < STAND_BYS; number++) relays.push(await begun(context, ground))
    const accompanied = await relay.latencies(() => relay.publish(ground.topic, PER_SECOND, WINDOW_MS))
    context.say(
      `acked alone: p50 ${ms(alone.p50)}, p99 ${ms(alone.p99)}; five standing by: p50 ${ms(accompanied.p50)}, p99 ${ms(accompanied.p99)}`,
    )
    return { alone, accompanied }
  } finally {
    await relay.stop()
  }
}

/** The owner alone, then the same with five standing by. */
async function measureIdle(context: BenchContext, ground: Ground, relays: ChildProcess[]): Promise<Row[]> {
  relays.push(await begun(context, ground))
  const alone = await idle(ground, relays)
  for (let number = 0; number < STAND_BYS; number++) relays.push(await begun(context, ground))
  const all = await idle(ground, relays)
  const owner = all.costs.find(({ inOffice }) => inOffice)
  const others = all.costs.filter(({ inOffice }) => !inOffice)
  if (owner === undefined || others.length !== STAND_BYS) throw new Error('There is not one owner and five that stand by.')
  const standByShare = median(others.map(({ share }) => share))
  const standByQueries = Math.max(0, all.queriesPerSecond - alone.queriesPerSecond) / STAND_BYS
  const standByRss = median(others.map(({ rss }) => rss)) / 1e6
  context.say(
    `idle owner: ${percent(owner.share)} of a core, ${alone.queriesPerSecond.toFixed(1)} queries/s alone, ${all.queriesPerSecond.toFixed(1)} of all six; ` +
      `one standing by: ${percent(standByShare)} of a core, ${standByQueries.toFixed(1)} queries/s, ${standByRss.toFixed(0)} MB, two connections`,
  )
  return [
    row('idle owner, five standing by', '% of a core', owner.share * 100, 0.5),
    row('idle owner and five standing by', 'queries/s', all.queriesPerSecond, 20, alone.queriesPerSecond),
    row('one that stands by', '% of a core', standByShare * 100, 0.5),
  ]
}

async function idle({ connectionString }: Ground, relays: readonly ChildProcess[]): Promise<Idleness> {
  // What follows a start is not idleness yet.
  await pause(3_000)
  const counter = new Client({ connectionString })
  await counter.connect()
  const before = await queries(counter)
  const costs = await Promise.all(relays.map((relay) => asked(relay)))
  const queriesPerSecond = ((await queries(counter)) - before) / (IDLE_MS / 1_000)
  await counter.end()
  return { costs, queriesPerSecond }
}

async function asked(relay: ChildProcess): Promise<Cost> {
  const answer = once(relay, 'message')
  relay.send({ idleMs: IDLE_MS })
  return costSchema.parse((await answer)[0])
}

async function begun({ stack }: BenchContext, { connectionString }: Ground): Promise<ChildProcess> {
  const plan = { brokers: stack.brokers, connectionString }
  const relay = fork(fileURLToPath(new URL('./programs/stand-by.ts', import.meta.url)), [JSON.stringify(plan)])
  await once(relay, 'message')
  return relay
}

async function ended(relay: ChildProcess): Promise<void> {
  const exited = once(relay, 'exit')
  if (relay.kill('SIGKILL')) await exited
}

/** Transactions of the database, each of which was one statement of a relay's. */
async function queries(counter: Client): Promise<number> {
  await counter.query('select pg_stat_force_next_flush()')
  const { rows } = await counter.query('select xact_commit from pg_stat_database where datname = current_database()')
  return Number(rows[0]?.xact_commit)
}

function row(name: string, unit: string, figure: number, atMost: number, baseline?: number): Row {
  return toRow({ bench: 'standby', name, unit, figure, atMost, ...(baseline === undefined ? {} : { baseline }) })
}

function ms(figure: number): string {
  return `${figure.toFixed(2)} ms`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}
