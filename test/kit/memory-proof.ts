import { KafkaProxy } from './kafka-proxy.ts'
import { PostgresProxy } from './postgres-proxy.ts'
import type { TestProcess } from './processes.ts'
import type { Run } from './run.ts'
import { usagesOf } from './usage.ts'
import { until } from './wait.ts'

export interface Backlog {
  readonly messages: number
  readonly messageBytes: number
}

const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
const reports = { everyMs: 100, collects: true }
const SILENT_MS = 1_000
const withinMs = 180_000

/** Publishes far more bytes than a program may hold. */
export async function publishBacklog(run: Run, { messages, messageBytes }: Backlog): Promise<void> {
  const note = 'x'.repeat(messageBytes)
  for (let message = 0; message < messages; message++) await run.publish(keys[message % keys.length] ?? 'a', note)
}

/**
 * Lets a relay send what waits, while it does not hear some of Kafka's answers.
 *
 * @returns the most that it held, in MB, after collections of garbage: what it cannot do without
 */
export async function heldByRelay(run: Run, lostReplies: number): Promise<{ readonly heldMb: number; readonly lost: number }> {
  await using broker = await new KafkaProxy(run.servers.brokers[0] ?? '').start()
  broker.loseProduceReplies(lostReplies)
  const relay = run.spawn({ run: ['relay'], reports, brokers: [broker.broker], relay: { lease: '10s', batchSize: 1_000 } })
  await run.relayed(withinMs)
  relay.kill('SIGTERM')
  await relay.ended()
  return { heldMb: peakOf(relay), lost: broker.lostReplies }
}

/** The same of a consumer, whose database swallows everything for a while and then answers. */
export async function heldByConsumer(run: Run): Promise<number> {
  await using database = await new PostgresProxy(run.servers.databaseUrl).start()
  const consumer = run.spawn({ run: ['consume'], reports, databaseUrl: database.url })
  await until('some effects', async () => (await run.count('effect')) > 0, withinMs)
  database.blackHole()
  const end = performance.now() + SILENT_MS
  await until('a silence', () => performance.now() > end)
  database.pass()
  await run.drained({ withinMs })
  consumer.kill('SIGTERM')
  await consumer.ended()
  return peakOf(consumer)
}

function peakOf(program: TestProcess): number {
  return Math.max(...usagesOf(program).map(({ heldMb }) => heldMb))
}
