import { fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Pool } from 'pg'
import { z } from 'zod'
import type { BenchContext } from './context.ts'
import { type Ground, onGround } from './outbox-ground.ts'
import { type Row, toRow } from './result.ts'
import { TimedRelay } from './timed-relay.ts'

const WARM_UP_MS = 20_000
const WINDOW_MS = 8_000
const HOLD_MS = 4_000
const SNAPSHOT_MS = 60_000
const PER_SECOND = 500

const noted = z.object({ key: z.string(), atMs: z.number() })

/** From the commit to the acknowledgement by Kafka, at 500 events a second: one process, two, and with transactions in the way. */
export async function acked(context: BenchContext): Promise<readonly Row[]> {
  return await onGround(context, 'acked', async (ground) => {
    const relay = new TimedRelay(ground.connectionString, context.stack.brokers)
    await relay.start()
    try {
      // For the compiler: at this rate a function is called ten thousand times in twenty seconds.
      await relay.publish(ground.topic, PER_SECOND, WARM_UP_MS)
      return [
        ...(await sameProcess(relay, ground, context)),
        ...(await otherProcess(relay, ground, context)),
        ...(await heldSnapshot(relay, ground, context)),
      ]
    } finally {
      await relay.stop()
    }
  })
}

async function sameProcess(relay: TimedRelay, { pool, topic }: Ground, { say }: BenchContext): Promise<Row[]> {
  const free = await relay.latencies(() => relay.publish(topic, PER_SECOND, WINDOW_MS))
  const held = await relay.latencies(async () => {
    const open = holdOpen(pool, HOLD_MS)
    await relay.publish(topic, PER_SECOND, HOLD_MS)
    await open
  })
  say(
    `one process: p50 ${ms(free.p50)}, p99 ${ms(free.p99)}; while a transaction is open for ${HOLD_MS} ms: p50 ${ms(held.p50)}, p99 ${ms(held.p99)}`,
  )
  return [
    row('one process, p50', 'ms', free.p50, 4),
    row('one process, p99', 'ms', free.p99, 15),
    row('one process, a transaction open for 4 s, p50', 'ms', held.p50, 4),
    row('one process, a transaction open for 4 s, p99', 'ms', held.p99, 15),
  ]
}

async function otherProcess(relay: TimedRelay, { connectionString, pool, topic }: Ground, { say }: BenchContext): Promise<Row[]> {
  const locks = watchLocks(pool)
  const cpu = process.cpuUsage()
  const across = await relay.latencies(() => publishElsewhere(relay, { connectionString, topic, perSecond: PER_SECOND, forMs: WINDOW_MS }))
  const { user, system } = process.cpuUsage(cpu)
  const share = (user + system) / 1_000 / across.tookMs
  const waits = await locks()
  say(
    `two processes: p50 ${ms(across.p50)}, p99 ${ms(across.p99)}; the relay's takes ${share.toFixed(3)} of a core; ${waits} waits for NOTIFY's lock`,
  )
  return [
    row('two processes, p50', 'ms', across.p50, 8),
    row('two processes, p99', 'ms', across.p99, 30),
    row("the relay's process", 'of a core', share, 0.2),
    row("waits for NOTIFY's lock", 'sessions', waits, 0),
  ]
}

/** Nothing that is deleted meanwhile can be vacuumed; the passes must not walk over it. */
async function heldSnapshot(relay: TimedRelay, { pool, topic }: Ground, { say }: BenchContext): Promise<Row[]> {
  const reader = await pool.connect()
  await reader.query('begin isolation level repeatable read')
  await reader.query('select count(*) from trunkline.outbox')
  await relay.publish(topic, PER_SECOND, SNAPSHOT_MS - WINDOW_MS)
  const fetches = await relay.fetches(() => relay.publish(topic, PER_SECOND, WINDOW_MS))
  await reader.query('commit')
  reader.release()
  say(`a snapshot open for ${SNAPSHOT_MS / 1_000} s: a fetch takes ${ms(fetches.p50)} (p50), ${ms(fetches.p99)} (p99)`)
  return [row('fetch with a snapshot open for 60 s, p50', 'ms', fetches.p50, 2)]
}

function row(name: string, unit: string, figure: number, atMost: number): Row {
  return toRow({ bench: 'acked', name, unit, figure, atMost })
}

function ms(figure: number): string {
  return `${figure.toFixed(2)} ms`
}

/** A transaction that has written, and neither commits nor goes away. */
async function holdOpen(pool: Pool, forMs: number): Promise<void> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query('select pg_current_xact_id()')
  await pause(forMs)
  await client.query('rollback')
  client.release()
}

/** @returns asks how many sessions were seen waiting for the lock that NOTIFY takes at COMMIT */
function watchLocks(pool: Pool): () => Promise<number> {
  const over = new AbortController()
  const watching = (async () => {
    let seen = 0
    while (!over.signal.aborted) {
      const { rows } = await pool.query(
        "select count(*)::int as waits from pg_stat_activity where wait_event_type = 'Lock' and wait_event = 'object'",
      )
      seen += rows[0]?.waits ?? 0
      await pause(20)
    }
    return seen
  })()
  return async () => {
    over.abort()
    return await watching
  }
}

async function publishElsewhere(
  relay: TimedRelay,
  plan: { readonly connectionString: string; readonly topic: string; readonly perSecond: number; readonly forMs: number },
): Promise<void> {
  const child = fork(fileURLToPath(new URL('./programs/publisher.ts', import.meta.url)), [JSON.stringify(plan)])
  child.on('message', (message) => {
    for (const { key, atMs } of z.array(noted).parse(message)) relay.committed(key, atMs)
  })
  await new Promise<void>((resolve) => child.once('exit', () => resolve()))
}
