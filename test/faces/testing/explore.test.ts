import { AssertionError } from 'node:assert'
import { Pool } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { explore, type Run } from '../../../src/faces/testing/explore.ts'
import { type TestBackbone, type TestBackboneOptions, testBackbone } from '../../../src/faces/testing/testing.ts'
import type { Backbone, Transaction } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'

const Counted = countedOn('counted')
const messages = [1, 2, 3].map((version) => Counted({ key: 'a', version }))

async function open(options: Partial<TestBackboneOptions>) {
  const t = await testBackbone({ register: [], prepare: counters, database: inject('databaseUrl'), ...options })
  onTestFinished(() => t.close())
  return t
}

async function counters(tx: Transaction): Promise<void> {
  await tx.query("create table counter as select 'a' as key, 0 as seen")
}

const countSql = "update counter set seen = seen + 1 where key = 'a'"

function counting(backbone: Backbone): void {
  backbone.subscribe(Counted, async (_, { tx }) => {
    await tx.query(countSql)
  })
}

async function countsEachOnce(t: TestBackbone): Promise<void> {
  await t.publish(messages)
  await t.quiet()
  expect(await t.query('select seen from counter')).toEqual([{ seen: 3 }])
}

/** The planted bug: it counts beside its transaction, so what is run again is counted again. */
function besideTheTransaction(): (backbone: Backbone) => void {
  const pools = new Map<Backbone, Pool>()
  return (backbone) => {
    backbone.subscribe(Counted, async (_, { tx }) => {
      const { rows } = await tx.query('select current_database() as name')
      const url = new URL(inject('databaseUrl'))
      url.pathname = `/${rows[0]?.['name']}`
      const pool = pools.get(backbone) ?? new Pool({ connectionString: url.href, max: 1, idleTimeoutMillis: 50 })
      pools.set(backbone, pool)
      pool.on('error', () => undefined)
      await pool.query(countSql)
    })
  }
}

test('finds nothing in a handler that keeps to its transaction, whatever goes wrong', { timeout: 120_000 }, async () => {
  const t = await open({ register: [counting] })

  const explored = t.explore({ runs: 5 }, countsEachOnce)

  await expect(explored).resolves.toBeUndefined()
})

test('finds a handler that writes beside its transaction, and fails again under the same seed', { timeout: 300_000 }, async () => {
  const t = await open({ register: [besideTheTransaction()] })

  const found = await t.explore({ runs: 500 }, countsEachOnce).catch((error: unknown) => error)

  if (!(found instanceof AssertionError) || !('seed' in found)) throw new Error('Nothing was found.', { cause: found })
  expect(found.message).toMatch(/Run \d+ of 500 failed under seed \d+[\s\S]*Faults that had struck:\n {2}\w+ at /)
  const seed = Number(found.seed)
  // A seed decides where faults strike, and a busy machine in which order the rest comes: so it may need several runs.
  await expect(t.explore({ seed, runs: 100 }, countsEachOnce)).rejects.toThrow(`under seed ${seed}`)
})

/** One unit is left, and two customers want it: whoever reads before the other has written takes it too. */
function selling(interleave: boolean): (backbone: Backbone) => void {
  return (backbone) =>
    backbone.subscribe(
      Counted,
      async (_, { tx }) => {
        // The lock keeps other transactions away, not a neighbour in the same one.
        const { rows } = await tx.query('select seen from counter for update')
        if (Number(rows[0]?.['seen']) === 0) await tx.query(countSql)
      },
      { interleave },
    )
}

async function sellsOnce(t: TestBackbone): Promise<void> {
  await t.publish([Counted({ key: 'a', version: 1 }), Counted({ key: 'b', version: 1 })])
  await t.quiet()
  expect(await t.query('select seen from counter')).toEqual([{ seen: 1 }])
}

test('finds that the last unit is sold twice by handlers that interleave though one reads what another writes', {
  timeout: 120_000,
}, async () => {
  const t = await open({ register: [selling(true)], partitions: 1 })

  // It needs no fault: what leaves later, or dies, would only put the two into batches of their own.
  await expect(t.explore({ runs: 500, faults: ['duplicate'] }, sellsOnce)).rejects.toThrow(/failed under seed/)
})

test('finds nothing in the same handlers one after another, in one batch or in several', { timeout: 120_000 }, async () => {
  const t = await open({ register: [selling(false)], partitions: 1 })

  await expect(t.explore({ runs: 4 }, sellsOnce)).resolves.toBeUndefined()
})

interface Ran {
  readonly seed: number
  close(): Promise<void>
}

/** Runs without a service: each is what `fails` says of its seed, which is counted from the first, and of how often it ran. */
function runsThatFail(fails: (seed: number, time: number) => boolean): Run<Ran> {
  const times = new Map<number, number>()
  let first: number | undefined
  return {
    open: async ({ seed }) => ({ seed, close: async () => undefined }),
    check: async ({ seed }) => {
      first ??= seed
      const time = (times.get(seed) ?? 0) + 1
      times.set(seed, time)
      if (fails(seed - first, time)) throw new Error(`seed ${seed - first}`)
    },
  }
}

test('tells of a failure that comes again rather than of one that does not', async () => {
  const run = runsThatFail((seed, time) => (seed === 2 && time === 1) || seed === 5)

  await expect(explore({ runs: 10 }, run)).rejects.toThrow(/Run 6 of 10 .* seed 5\n[\s\S]*again in 3 of 3 repetitions/)
})

test('tells of a failure that never came again where nothing else failed, or several are like it', async () => {
  const alone = runsThatFail((seed, time) => seed === 2 && time === 1)
  const several = runsThatFail((_, time) => time === 1)

  await expect(explore({ runs: 10 }, alone)).rejects.toThrow(/Run 3 of 10 .* seed 2\n[\s\S]*again in 0 of 3 .* runs: 50/)
  await expect(explore({ runs: 100_000 }, several)).rejects.toThrow(/Run 1 of 100000 .* seed 0\n/)
})

test('runs one seed once, or as often as it is told', async () => {
  const fails = (_: number, time: number): boolean => time === 3

  await expect(explore({ seed: 7 }, runsThatFail(fails))).resolves.toBeUndefined()
  await expect(explore({ seed: 7, runs: 3 }, runsThatFail(fails))).rejects.toThrow('Run 3 of 3 failed under seed 7')
})
