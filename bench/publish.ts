import type { BenchContext } from './context.ts'
import { type Ground, measuredContract, measuredData, onGround } from './outbox-ground.ts'
import { median, type Row, toRow } from './result.ts'
import { serverCpuMicros } from './server-cpu.ts'

const CLIENTS = 16
const ACCOUNTS = 10_000
const ROUND_MS = 2_000
const ROUNDS = 5

interface Cost {
  readonly perSecond: number
  readonly cpuMicros: number
}

/** One tiny update in a transaction of its own, and the same with one event: the hardest case, because the event is most of it. */
export async function publish(context: BenchContext): Promise<readonly Row[]> {
  const runs: { readonly ratio: number; readonly added: number; readonly without: number; readonly with: number }[] = []
  for (let run = 1; run <= context.runs; run++) {
    const measured = await onGround(context, `publish-${run}`, (ground) => alternate(ground, context))
    runs.push(measured)
    context.say(
      `run ${run}: ${Math.round(measured.with)} transactions/s with an event, ${Math.round(measured.without)} without; the event adds ${measured.added.toFixed(0)} µs of CPU`,
    )
  }
  const ratio = median(runs.map((run) => run.ratio))
  const rate = toRow({
    bench: 'publish',
    name: 'transactions with an event / without',
    unit: 'tx/s',
    figure: median(runs.map((run) => run.with)),
    baseline: median(runs.map((run) => run.without)),
  })
  return [
    { ...rate, ratio: Number(ratio.toPrecision(4)), bar: 'ratio >= 0.75', holds: ratio >= 0.75 },
    toRow({
      bench: 'publish',
      name: 'CPU of an event, client and server',
      unit: 'µs',
      figure: median(runs.map((run) => run.added)),
      atMost: 120,
    }),
  ]
}

/** Rounds in turn, so that both see the same machine. */
async function alternate(ground: Ground, { stack }: BenchContext) {
  const { pool, backbone, topic } = ground
  await pool.query(`create table account (id integer primary key, n integer not null)`)
  await pool.query('insert into account select id, 0 from generate_series(1, $1) as id', [ACCOUNTS])
  const pids = stack.servers.filter(({ name }) => name === 'PostgreSQL').flatMap((server) => server.pids)
  const Measured = measuredContract(topic)
  const plain = (): Promise<void> =>
    backbone.transaction(async (tx) => {
      await tx.query(updateSql, [1 + Math.floor(Math.random() * ACCOUNTS)])
    })
  const publishing = (): Promise<void> =>
    backbone.transaction(async (tx) => {
      await tx.query(updateSql, [1 + Math.floor(Math.random() * ACCOUNTS)])
      await backbone.publish(tx, Measured(measuredData()))
    })
  await measure(plain, pids)
  await measure(publishing, pids)
  const rounds: { readonly without: Cost; readonly with: Cost }[] = []
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push({ without: await measure(plain, pids), with: await measure(publishing, pids) })
    await pool.query('truncate trunkline.outbox')
  }
  return {
    without: median(rounds.map((round) => round.without.perSecond)),
    with: median(rounds.map((round) => round.with.perSecond)),
    ratio: median(rounds.map((round) => round.with.perSecond / round.without.perSecond)),
    added: median(rounds.map((round) => round.with.cpuMicros - round.without.cpuMicros)),
  }
}

async function measure(transact: () => Promise<void>, pids: readonly number[]): Promise<Cost> {
  const until = performance.now() + ROUND_MS
  const [began, own, server] = [performance.now(), process.cpuUsage(), serverCpuMicros(pids)]
  let done = 0
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      await transact()
      done++
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  const { user, system } = process.cpuUsage(own)
  const seconds = (performance.now() - began) / 1_000
  return { perSecond: done / seconds, cpuMicros: (user + system + serverCpuMicros(pids) - server) / done }
}

const updateSql = 'update account set n = n + 1 where id = $1'
