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

test('a statement that failed in a savepoint of the library does not lend its error to a later one', async () => {
  const { database: beside, diagnostics, url } = await openDatabase()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const parts = { source: source(pool, { rollingBack: async () => undefined }), beside, diagnostics, clock: systemClock }
  const database = new OrmDatabase(parts, { lockTimeoutMs: 1_000, idleInTransactionMs: 10_000 })
  const told: unknown[] = []
  const fails = (tx: PoolClient, sql: string): Promise<unknown> =>
    database
      .queryable(tx)
      .query(sql)
      .catch((error: unknown) => told.push(error))

  const failed = database.transaction(async (tx) => {
    await tx.query('savepoint mine')
    await fails(tx, 'select 1 / 0')
    await tx.query('rollback to savepoint mine')
    await fails(tx, 'select nothing from nowhere')
    await fails(tx, 'select 1')
    throw new Error('enough')
  })

  await expect(failed).rejects.toThrow('enough')
  // The last one says why it was not run: by the error that was last.
  expect(told).toMatchObject([{ code: '22012' }, { code: '42P01' }, { code: '42P01' }])
})

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
