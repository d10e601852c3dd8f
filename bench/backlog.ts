import { z } from 'zod'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { migrate } from '../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../src/adapters/postgres/server-databases.ts'
import { firstMessage, startProgram } from './built-program.ts'
import type { BenchContext } from './context.ts'
import { median, type Row, toRow } from './result.ts'
import { slowEventOn, slowRecord } from './slow-event.ts'

/** The backlog has so many times the events of the other benches: a million by default. */
const TIMES = 10
const PARTITIONS = 4
const BATCH_SIZE = 1_000
const HANDLER_MS = 50
/** For a minute V8 lets the young generation grow, whatever waits: only then it is seen whether anything else does. */
const FOR_MS = 120_000

const reportSchema = z.object({ rss: z.array(z.number()), handled: z.int() })

/** A slow handler in front of a long topic: the consumer's memory does not depend on what waits, and does not grow. */
export async function backlog({ stack, events, say }: BenchContext): Promise<readonly Row[]> {
  const topic = `trunkline-bench-backlog-${process.pid}`
  const connectionString = stack.databaseUrlOf(topic)
  await createDatabase(stack.databaseUrl, topic)
  try {
    await migrate(connectionString)
    await fill(stack.brokers, topic, events * TIMES)
    say(`${events * TIMES} messages wait`)
    const { definition } = slowEventOn(topic)
    const { rss, handled } = await consumed({ brokers: stack.brokers, connectionString, definition, handlerMs: HANDLER_MS, forMs: FOR_MS })
    if (handled === 0) throw new Error('Nothing was handled: its memory says nothing.')
    say(`${handled} were handled in ${FOR_MS / 1_000} s`)
    const third = Math.floor(rss.length / 3)
    const [early, late] = [median(rss.slice(third, 2 * third)), median(rss.slice(2 * third))]
    const what = `behind ${events * TIMES} messages, ${HANDLER_MS} ms each`
    return [
      toRow({ bench: 'backlog', name: `memory ${what}, at most`, unit: 'MB', figure: Math.max(...rss) / 1e6, atMost: 300 }),
      toRow({ bench: 'backlog', name: `memory ${what}, last third / the one before`, unit: '×', figure: late / early, atMost: 1.1 }),
    ]
  } finally {
    await dropDatabases(stack.databaseUrl, topic)
  }
}

async function fill(brokers: readonly string[], topic: string, count: number): Promise<void> {
  const { definition } = slowEventOn(topic)
  const log = kafkajsLog({ brokers: [...brokers], clientId: 'bench' })
  try {
    await log.admin.createTopics([{ name: topic, partitions: PARTITIONS, replicationFactor: 1 }])
    await log.producer.start(new AbortController().signal)
    for (let from = 0; from < count; from += BATCH_SIZE) {
      const records = Array.from({ length: Math.min(BATCH_SIZE, count - from) }, () => slowRecord(definition))
      const outcome = await log.producer.append({ topic, partition: (from / BATCH_SIZE) % PARTITIONS }, records)
      if (outcome.status !== 'acked') throw outcome.reason
    }
  } finally {
    await log.producer.stop(5_000)
    await log.admin.close()
  }
}

async function consumed(plan: object): Promise<z.output<typeof reportSchema>> {
  const child = await startProgram('slow-consumer', plan)
  try {
    return reportSchema.parse(await firstMessage(child))
  } finally {
    child.kill('SIGKILL')
  }
}
