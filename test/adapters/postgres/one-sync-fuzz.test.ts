import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { PostgresDatabase } from '../../../src/adapters/postgres/database.ts'
import type { QueryResult, Transaction } from '../../../src/core/database/database.ts'
import { FaultProxy } from '../../kit/fault-proxy.ts'
import { Random } from '../../kit/random.ts'
import { insert, openDatabase, withTable } from './open-database.ts'

const PROGRAMS = 50

type Values = readonly unknown[]
/** What is sent at once: statements of the user's or of the spine, or one savepoint. */
type Step = { readonly asked: readonly (readonly [text: string, values: Values, often: boolean])[] } | Block

interface Block {
  readonly steps: readonly Step[]
  readonly throws: boolean
}

const circular: Record<string, unknown> = {}
circular['self'] = circular

/** About one of eight fails, before it runs or while it runs. */
function statement(random: Random): readonly [string, Values, boolean] {
  const often = random.between(1, 3) === 1
  const n = random.between(1, 12)
  const kind = random.between(1, 26)
  if (kind <= 10) return [insert, [n], often]
  if (kind <= 14) return ['select n, n * 2 as twice from effect order by n', [], often]
  if (kind <= 17) return ['update effect set n = n + 100 where n = $1 returning n', [n], often]
  if (kind <= 19) return ['select $1::text as t, $2::bytea as b, null as nothing', ['ü'.repeat(n * 99), Buffer.from([0, n])], often]
  if (kind === 20) return ['', [], false]
  if (kind === 21) return ['select $1::int / 0', [n], often]
  if (kind === 22) return ['select $1::int', ['not a number'], often]
  if (kind === 23) return [`select * from table_${n}`, [], often]
  return ['delete from effect where n > $1', [n], often]
}

function block(random: Random, depth: number): Block {
  const steps = Array.from({ length: random.between(1, 5) }, (): Step => {
    if (depth < 3 && random.between(1, 3) === 1) return block(random, depth + 1)
    // Alone: it is told at once, before the failure of a statement that left before it.
    if (random.between(1, 12) === 1) return { asked: [['select $1::text', [circular], false]] }
    return { asked: Array.from({ length: random.between(1, 5) }, () => statement(random)) }
  })
  return { steps, throws: random.between(1, 6) === 1 }
}

/** Runs it, and notes how everything was answered. */
async function run(database: PostgresDatabase, program: Block): Promise<readonly unknown[]> {
  const told: unknown[] = []
  const note = (each: PromiseSettledResult<unknown>): void => {
    const { code, message } = Object(each.status === 'rejected' ? each.reason : undefined) as { code?: string; message?: string }
    told.push(each.status === 'fulfilled' ? each.value : (code ?? message))
  }
  const perform = async (tx: Transaction, { steps, throws }: Block): Promise<void> => {
    for (const step of steps) {
      const asked: readonly Promise<QueryResult | void>[] =
        'asked' in step
          ? step.asked.map(([text, values, often]) =>
              often ? database.queryable(tx).query(text, values, 'often') : tx.query(text, values),
            )
          : [tx.savepoint(() => perform(tx, step))]
      for (const each of await Promise.allSettled(asked)) note(each)
    }
    if (throws) throw new Error('changed its mind')
  }
  const beforeCommit = async (tx: Transaction): Promise<undefined> => {
    await database.queryable(tx).query('insert into effect select count(*) + 1000 from effect')
  }
  const [outcome] = await Promise.allSettled([
    database.transaction((tx) => perform(tx, program), { beforeCommit, rerunsWhenUnknown: true }),
  ])
  note(outcome)
  const { rows } = await database.outside.query('select n from effect order by n')
  return [...told, rows]
}

test('whatever is asked and whatever fails, a Sync for each write gives the answers that a Sync for each statement gives', {
  timeout: 120_000,
}, async () => {
  const seed = 20_261_128
  const { database: together, url } = await withTable({ maxConnections: 1 })
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const { database: each } = await openDatabase({ url, pool })
  const random = new Random(seed)
  let failed = 0

  for (let program = 0; program < PROGRAMS; program++) {
    const steps = block(random, 0)
    const answers: (readonly unknown[])[] = []
    for (const database of [together, each]) {
      await database.outside.query('truncate effect')
      answers.push(await run(database, steps))
    }
    expect(answers[0], `seed ${seed}, program ${program}`).toEqual(answers[1])
    if (JSON.stringify(answers).includes('TRANSACTION_LOST')) failed++
  }

  expect(failed).toBeGreaterThan(PROGRAMS / 10)
})

test('wherever the answers of the last write are cut, nothing is told committed that is not, and nothing failed that is', {
  timeout: 30_000,
}, async () => {
  const { url, numbers, database: direct } = await withTable()
  const proxy = await new FaultProxy({ host: '127.0.0.1', port: Number(new URL(url).port) }).start()
  await using _ = proxy
  const behind = new URL(url)
  behind.host = `127.0.0.1:${proxy.port}`
  const { database } = await withTable({ url: behind.href, maxConnections: 1 })
  const told = new Map<number, string>()

  for (let bytes = 0; bytes <= 90; bytes += 3) {
    const work = database.transaction((tx) => tx.query(insert, [bytes]), {
      beforeCommit: async (tx) => {
        proxy.cutAfter(bytes)
        return void (await database.queryable(tx).query('select'))
      },
    })
    const [outcome] = await Promise.allSettled([work])
    told.set(bytes, outcome.status === 'fulfilled' ? 'committed' : String(Reflect.get(Object(outcome.reason), 'code')))
    proxy.cutAfter(Number.POSITIVE_INFINITY)
  }

  const kept = new Set(await numbers())
  expect(proxy.cutShort).toBeGreaterThan(10)
  for (const [bytes, outcome] of told) expect([bytes, outcome]).toEqual([bytes, kept.has(bytes) ? 'committed' : 'COMMIT_ABORTED'])
  expect(await direct.reachable()).toBe(true)
})
