import type { ChildProcess } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { firstMessage, PeakMemory, startCommand, startProgram } from './built-program.ts'
import type { BenchContext } from './context.ts'
import { fillOutbox, type Ground, onGround } from './outbox-ground.ts'
import { type Row, toRow } from './result.ts'

/** The large backlog has so many times the rows of the small one. */
const TIMES = 50
const IDLE_MS = 10_000

const LOOK_EVERY_MS = 100

const reportSchema = z.object({ eventsPerSecond: z.number(), idleShare: z.number(), queriesPerSecond: z.number() })

interface Report extends z.output<typeof reportSchema> {
  readonly bytesMax: number
}

/** A backlog fifty times as long is drained as fast, in the same memory; and a relay with nothing to do does next to nothing. */
export async function growth(context: BenchContext): Promise<readonly Row[]> {
  const { events, say } = context
  const short = await backlogOf(context, events, (ground) => drainedByService(context, ground, events))
  say(`${events} rows: ${describe(short)}`)
  const long = await backlogOf(context, events * TIMES, (ground) => drainedByService(context, ground, events * TIMES))
  say(`${events * TIMES} rows: ${describe(long)}`)
  const alone = await backlogOf(context, events * TIMES, (ground) => drainedByCommand(context, ground, events * TIMES))
  say(`${events * TIMES} rows, trunkline relay: ${shown(alone.eventsPerSecond, alone.bytesMax)}`)
  const rate = toRow({
    bench: 'growth',
    name: `drain of ${events * TIMES} rows beside ${events}`,
    unit: 'events/s',
    figure: long.eventsPerSecond,
    baseline: short.eventsPerSecond,
  })
  return [
    { ...rate, bar: 'ratio >= 0.85', holds: (rate.ratio ?? 0) >= 0.85 },
    toRow({
      bench: 'growth',
      name: 'memory of a service that runs the relay, at most',
      unit: 'MB',
      figure: long.bytesMax / 1e6,
      atMost: 300,
    }),
    toRow({ bench: 'growth', name: 'memory of trunkline relay, at most', unit: 'MB', figure: alone.bytesMax / 1e6, atMost: 150 }),
    toRow({ bench: 'growth', name: 'drain by trunkline relay', unit: 'events/s', figure: alone.eventsPerSecond, atLeast: 60_000 }),
    toRow({ bench: 'growth', name: 'idle relay', unit: '% of a core', figure: long.idleShare * 100, atMost: 0.5 }),
    toRow({ bench: 'growth', name: 'idle relay', unit: 'queries/s', figure: long.queriesPerSecond, atMost: 20 }),
  ]
}

function describe({ eventsPerSecond, bytesMax, idleShare, queriesPerSecond }: Report): string {
  return `${shown(eventsPerSecond, bytesMax)}; idle ${(idleShare * 100).toFixed(2)} % of a core, ${queriesPerSecond.toFixed(1)} queries/s`
}

function shown(eventsPerSecond: number, bytesMax: number): string {
  return `${Math.round(eventsPerSecond)} events/s, ${Math.round(bytesMax / 1e6)} MB`
}

async function backlogOf<Result>(context: BenchContext, events: number, work: (ground: Ground) => Promise<Result>): Promise<Result> {
  return await onGround(context, 'growth', async (ground) => {
    // A thousand are published; the others are those again, as the table has them.
    await fillOutbox(ground, 1_000)
    await ground.pool.query(multiplySql, [Math.ceil(events / 1_000) - 1])
    await ground.pool.query('vacuum (analyze) trunkline.outbox')
    return await work(ground)
  })
}

/** A service with Node's own settings; then what it does when there is nothing to do. */
async function drainedByService({ stack }: BenchContext, { connectionString }: Ground, events: number): Promise<Report> {
  const child = await startProgram('relay', { brokers: stack.brokers, connectionString, events, idleMs: IDLE_MS })
  return await killedAfterwards(child, async () => {
    const peak = new PeakMemory(child)
    const report = reportSchema.parse(await firstMessage(child))
    return { ...report, bytesMax: await peak.bytes() }
  })
}

/** The command, as an operator starts it. Its rate is counted from when it came into office until no row is left. */
async function drainedByCommand(
  { stack }: BenchContext,
  { connectionString, pool }: Ground,
  events: number,
): Promise<Pick<Report, 'eventsPerSecond' | 'bytesMax'>> {
  const child = startCommand(['relay'], { DATABASE_URL: connectionString, KAFKA_BROKERS: stack.brokers.join(','), NODE_OPTIONS: '' })
  return await killedAfterwards(child, async () => {
    const peak = new PeakMemory(child)
    const until = async (sql: string): Promise<number> => {
      for (let rows: unknown[] = []; rows.length === 0; await pause(LOOK_EVERY_MS)) {
        if (child.exitCode !== null) throw new Error(`trunkline relay ended early (${child.exitCode}).`)
        rows = (await pool.query(sql)).rows
      }
      return performance.now()
    }
    const began = await until('select from trunkline.outbox_lease where owner is not null')
    const ended = await until('select where not exists (select from trunkline.outbox)')
    return { eventsPerSecond: (events / (ended - began)) * 1_000, bytesMax: await peak.bytes() }
  })
}

async function killedAfterwards<Result>(child: ChildProcess, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } finally {
    child.kill('SIGKILL')
  }
}

const multiplySql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  select bucket, (hashint8(copy * 1000 + seq) & 2147483647), topic, gen_random_uuid(), key, value, headers
    from generate_series(1, $1::int) as copy, (select * from trunkline.outbox order by seq limit 1000) as first`
