import { randomBytes } from 'node:crypto'
import { startStack } from '../../src/faces/stack/stack.ts'
import { Random } from './random.ts'
import { ReplicatedPostgres } from './replicated-postgres.ts'
import { Run } from './run.ts'
import { until } from './wait.ts'

const keys = ['a', 'b', 'c', 'd', 'e']
const MESSAGES = 400

/**
 * The primary dies while messages are published and consumed, and its standby is promoted: whoever was told "committed" is
 * there, and the programs go on by themselves.
 */
export async function proveStandby(seeds: number, from: number): Promise<boolean> {
  const brokers = process.env['TRUNKLINE_TEST_KAFKA_BROKERS']?.split(',').filter(Boolean)
  const given = { brokers, databaseUrl: 'postgres://127.0.0.1:1/none' }
  const kafka = await startStack({ given, real: true, env: process.env, say: (line) => console.log(line) })
  let holds = true
  try {
    for (let seed = from; seed < from + seeds; seed++) {
      const wrong = await promoted(kafka.brokers, new Random(seed))
      console.log(`standby seed ${seed}: ${wrong.length === 0 ? 'holds' : 'DOES NOT HOLD'}`)
      for (const line of wrong) console.log(`  ${line}`)
      holds &&= wrong.length === 0
    }
  } finally {
    await kafka.stop()
  }
  return holds
}

async function promoted(brokers: readonly string[], random: Random): Promise<readonly string[]> {
  await using postgres = await ReplicatedPostgres.start()
  const topic = `trunkline-prove-standby-${randomBytes(4).toString('hex')}`
  await using run = await Run.begin({ brokers, databaseUrl: await postgres.migratedDatabase('proved'), topic })
  const publisher = run.spawn({ publish: { messages: MESSAGES, keys, historyPath: run.historyPath } })
  const workers = [run.spawn({ run: ['relay', 'consume'] }), run.spawn({ run: ['relay', 'consume'] })]
  const applied = random.between(30, 200)
  await until('some effects', async () => (await run.count('effect')) > applied, 60_000)

  await postgres.failOver()
  await publisher.says('published', 120_000)
  await run.drained({ withinMs: 120_000 })
  const { violations, counts } = await run.judge()

  const told = Object.entries(counts).map(([what, count]) => `${what} ${count}`)
  console.log(`  promoted after ${applied} effects: ${told.join(', ')}`)
  return [
    ...violations,
    ...(counts.failed + counts.unknown === 0 ? ['nobody noticed that the primary died'] : []),
    ...(counts.effects === counts.committed ? [] : [`${counts.committed} committed, ${counts.effects} effects`]),
    ...workers.flatMap(({ running, errors }) => (running ? [] : [`a worker ended: ${errors}`])),
  ]
}
