import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzleDatabase } from 'trunkline/drizzle'
import { expect, onTestFinished, test } from 'vitest'
import { createBackbone } from '../../../src/index.ts'
import { ConsumeBench } from '../../core/consume/consume-bench.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until, Witness } from '../../kit/wait.ts'

const keys = Array.from({ length: 12 }, (_, index) => `k${index}-`)
const notes = ['', '', 'fails 1', '', 'rolls back']

/** One process of a service whose handlers use a library's transactions, one for each message. */
async function consuming(bench: ConsumeBench): Promise<Witness> {
  const db = drizzle(bench.url)
  const backbone = createBackbone({
    service: 'judge',
    kafka: { driver: 'memory', log: bench.log },
    database: drizzleDatabase(db),
    heartbeat: '5s',
    stopTimeout: '2s',
    logger: false,
  })
  onTestFinished(async () => {
    await backbone.stop()
    await db.$client.end()
  })
  backbone.subscribe(
    countedOn('t'),
    async ({ data }, { tx, attempt }) => {
      if (data.note === 'fails 1' && attempt === 1) throw new Error('Not yet.')
      await tx.execute(sql`insert into effect (key, version) values (${data.key}, ${data.version})`)
      if (data.note === 'rolls back' && attempt === 1) throw new Error('Its effect is undone.')
    },
    { retry: { inline: 2, delays: [] } },
  )
  await backbone.start({ run: ['consume'] })
  return new Witness(backbone.diagnostics)
}

test("a library's transactions under load: repeated messages, failures and rebalances, each effect once and in order", {
  timeout: 60_000,
}, async () => {
  const bench = await ConsumeBench.open(4)
  const rounds = 10
  const [first] = await Promise.all([consuming(bench), consuming(bench)])

  for (let round = 0; round < rounds; round++) {
    await bench.publishAll(keys.map((key, index) => [key, notes[(round + index) % notes.length] ?? ''] as const))
    if (round % 3 === 0) bench.log.faults.rebalance('judge')
    if (round === 4) await bench.sendAgain()
  }
  await bench.settled()
  await until('every effect', async () => (await bench.effects()).length === keys.length * rounds, 40_000)

  expect(await bench.violations()).toEqual([])
  await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
  expect(first.count('delivery.duplicate')).toBeGreaterThan(0)
})
