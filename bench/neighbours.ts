import type { BenchContext } from './context.ts'
import { onGround } from './outbox-ground.ts'
import { median, type Row, toRow } from './result.ts'
import { TimedRelay } from './timed-relay.ts'

const DEAD_ROWS = 20_000
const PER_SECOND = 500
const WINDOW_MS = 3_000

/**
 * A topic that takes nothing gets 20,000 messages while its neighbours flow at 500 a second: by how much the slowest of
 * them is later than the slowest without it.
 */
export async function neighbours(context: BenchContext): Promise<readonly Row[]> {
  return await onGround(context, 'neighbours', async ({ connectionString, pool, topic }) => {
    const relay = new TimedRelay(connectionString, context.stack.brokers)
    await relay.start()
    try {
      await relay.publish(topic, PER_SECOND, 3_000)
      const delays: number[] = []
      for (let run = 1; run <= context.runs; run++) {
        const free = await relay.latencies(() => relay.publish(topic, PER_SECOND, WINDOW_MS))
        const beside = await relay.latencies(async () => {
          const filled = pool.query(fillSql, [`${topic}-dead-${run}`, DEAD_ROWS])
          await relay.publish(topic, PER_SECOND, WINDOW_MS)
          await filled
        })
        delays.push(beside.max - free.max)
        context.say(
          `run ${run}: the slowest neighbour ${free.max.toFixed(1)} ms, beside ${DEAD_ROWS} of a dead topic ${beside.max.toFixed(1)} ms`,
        )
      }
      return [
        toRow({ bench: 'neighbours', name: 'delay by 20,000 messages of a dead topic', unit: 'ms', figure: median(delays), atMost: 50 }),
      ]
    } finally {
      await relay.stop()
    }
  })
}

const fillSql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  select 0, number, $1, gen_random_uuid(), number::text::bytea, decode(repeat('78', 300), 'hex'), '' from generate_series(1, $2::int) as number`
