import { Pool, type PoolClient } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { OrmDatabase } from '../../../src/adapters/orm/orm-database.ts'
import type { TransactionSource } from '../../../src/adapters/orm/transaction-source.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { openDatabase } from '../postgres/open-database.ts'

/** A library as small as can be, which is busy with its ROLLBACK for as long as `until` says. */
function source(pool: Pool, until: { readonly rollingBack: () => Promise<unknown> }): TransactionSource<PoolClient> {
  return {
    library: 'Kysely',
    address: {},
    transaction: async (work) => {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const result = await work(client)
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback')
        await until.rollingBack()
        throw error
      } finally {
        client.release()
      }
    },
    query: async (tx, text, values) => {
      const { rows, rowCount } = await tx.query(text, [...values])
      return { rows, rowCount: rowCount ?? 0 }
    },
    isTransaction: (value): value is PoolClient => typeof value === 'object',
  }
}

test('what waited in a transaction whose work failed is not written behind its ROLLBACK', async () => {
  const { database: beside, diagnostics, url } = await openDatabase()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  await beside.outside.query('create table note (text text)')
  const answered = Promise.withResolvers<void>()
  let late: Promise<unknown> | undefined
  const rollingBack = async (): Promise<void> => {
    answered.resolve()
    await Promise.allSettled([late])
  }
  const parts = { source: source(pool, { rollingBack }), beside, diagnostics, clock: systemClock }
  const database = new OrmDatabase(parts, { lockTimeoutMs: 1_000, idleInTransactionMs: 10_000 })

  const failed = database.transaction(async (tx) => {
    late = answered.promise.then(() => database.queryable(tx).query('insert into note (text) values ($1)', ['ghost']))
    late.catch(() => undefined)
    throw new Error('undo')
  })

  await expect(failed).rejects.toThrow('undo')
  await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' })
  expect((await beside.outside.query('select text from note')).rows).toEqual([])
})
