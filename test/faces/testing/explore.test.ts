import { AssertionError } from 'node:assert'
import { Pool } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
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
  await expect(t.explore({ seed }, countsEachOnce)).rejects.toThrow(`under seed ${seed}`)
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

  await expect(t.explore({ runs: 500 }, sellsOnce)).rejects.toThrow(/failed under seed/)
})

test('finds nothing in the same handlers one after another, in one batch or in several', { timeout: 120_000 }, async () => {
  const t = await open({ register: [selling(false)], partitions: 1 })

  await expect(t.explore({ runs: 4 }, sellsOnce)).resolves.toBeUndefined()
})
