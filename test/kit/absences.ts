import { KafkaProxy } from './kafka-proxy.ts'
import { PostgresProxy } from './postgres-proxy.ts'
import type { Random } from './random.ts'
import type { Run } from './run.ts'
import { type Faults, Tally } from './tally.ts'
import { until } from './wait.ts'

export interface Absences {
  /** Of each server, one after the other. */
  readonly times: number
  readonly awayMs: number
}

const keys = ['a', 'b', 'c', 'd', 'e']

/**
 * Takes Kafka and the database away from one worker again and again: they refuse, or they swallow everything. Publishers
 * go on. Each time they are back, everything is handled with no human act, by the same process.
 */
export async function absences(run: Run, random: Random, { times, awayMs }: Absences): Promise<Faults> {
  const faults = new Tally()
  await using database = await new PostgresProxy(run.servers.databaseUrl).start()
  await using broker = await new KafkaProxy(run.servers.brokers[0] ?? '').start()
  const worker = run.spawn({ run: ['relay', 'consume'], brokers: [broker.broker], databaseUrl: database.url })
  await run.publishAll(keys, 1)
  await run.drained({ withinMs: 60_000 })
  for (let absence = 0; absence < 2 * times; absence++) {
    const [name, server] = absence % 2 === 0 ? (['Kafka', broker] as const) : (['the database', database] as const)
    const manner = random.pick(['refuse', 'blackHole'] as const)
    await run.publishAll(keys, 2)
    server[manner]()
    const end = performance.now() + awayMs
    await run.publishAll(keys, 2)
    await until('the end of the absence', () => performance.now() > end, awayMs + 10_000)
    server.pass()
    // What was swallowed is known to be lost when nobody has answered for half a minute.
    await run.drained({ withinMs: 90_000 })
    faults.note(`${name} away (${manner})`, worker.running)
  }
  worker.kill('SIGTERM')
  faults.note('ended in order', (await worker.ended()).code === 0)
  return faults.all
}
