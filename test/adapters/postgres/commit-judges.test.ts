import { Pool } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { PostgresDatabase } from '../../../src/adapters/postgres/database.ts'
import { PostgresOutboxAppender } from '../../../src/adapters/postgres/outbox-appender.ts'
import type { Database, Transaction } from '../../../src/core/database/database.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { Publisher } from '../../../src/core/outbox/publish.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { savepointIgnored } from '../../kit/broken/savepoint-ignored.ts'
import { tagIgnored } from '../../kit/broken/tag-ignored.ts'
import { countedOn } from '../../kit/contracts.ts'
import { cutCommits } from '../../kit/cut-commits.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { Random } from '../../kit/random.ts'
import { insert, openDatabase, withTable } from './open-database.ts'

describe('COMMITs that are cut', () => {
  test('are never told wrongly', { timeout: 120_000 }, async () => {
    const { url } = await createTestDatabase()

    const report = await cutCommits(url, 40, new Random(7))

    expect(report).toMatchObject({ planned: 40, fired: 40, wrong: [] })
    expect(report.told.committed).toBeGreaterThan(5)
    expect(report.told.aborted).toBeGreaterThan(5)
    expect(report.told.unknown).toBeGreaterThanOrEqual(10)
    expect(report.toldLater.unknown).toBe(0)
  })

  test('are seen to be told wrongly by a program that takes a lost reply for a failure', { timeout: 120_000 }, async () => {
    const { url } = await createTestDatabase()

    const report = await cutCommits(url, 12, new Random(7), async (database, n) => {
      const work = database.transaction((tx) => tx.query('insert into cut (n) values ($1)', [n]), { rerunsWhenUnknown: true })
      return await work.then(
        () => ({ outcome: 'committed' as const }),
        () => ({ outcome: 'aborted' as const }),
      )
    })

    expect(report.wrong.length).toBeGreaterThan(0)
  })
})

describe('the tag of COMMIT', () => {
  /** The error of the last statement is lost, so that on a connection with a Sync for each only the tag of COMMIT can tell. */
  function commitAborted(database: PostgresDatabase): Promise<unknown> {
    return database.transaction((tx) => tx.query(insert, [1]), {
      beforeCommit: async (tx) => {
        await database
          .queryable(tx)
          .query('select 1 / 0')
          .catch(() => undefined)
        return undefined
      },
      rerunsWhenUnknown: true,
    })
  }

  test('is believed: a transaction that the server rolled back is told as failed', async () => {
    const { url } = await withTable()
    const pool = new Pool({ connectionString: url, max: 2 })
    onTestFinished(() => pool.end())
    const { database, numbers } = await withTable({ url, pool })

    const outcome = await commitAborted(database).catch((error: unknown) => error)

    expect(isTrunklineError(outcome, 'COMMIT_ROLLED_BACK')).toBe(true)
    expect(await numbers()).toEqual([])
  })

  test('that is ignored tells a transaction as kept that was rolled back, and this judge sees it', async () => {
    const { url } = await withTable()
    const pool = tagIgnored(new Pool({ connectionString: url, max: 2 }))
    onTestFinished(() => pool.end())
    const { database, numbers } = await withTable({ url, pool })

    const outcome = await commitAborted(database).then(
      () => 'told as committed',
      () => 'told as failed',
    )

    expect(outcome).toBe('told as committed')
    expect(await numbers()).toEqual([])
  })
})

describe('a savepoint', () => {
  const Counted = countedOn('orders')

  /** @returns the keys that stand in the outbox after a savepoint in which one was published was rolled back */
  async function publishedAround(database: Database<Transaction>): Promise<unknown[]> {
    const publisher = new Publisher({
      database,
      appender: new PostgresOutboxAppender(database),
      diagnostics: new Diagnostics<DiagnosticCatalogue>(),
      clock: systemClock,
      service: 'shop',
      onPublished: () => undefined,
    })
    await publisher.transaction(async (tx) => {
      await publisher.publish(tx, [{ message: Counted({ key: 'outside', version: 1 }) }])
      const inner = tx.savepoint(async () => {
        await publisher.publish(tx, [{ message: Counted({ key: 'inside', version: 1 }) }])
        throw new Error('undo')
      })
      await inner.catch(() => undefined)
    })
    const { rows } = await database.outside.query("select convert_from(key, 'utf8') as key from trunkline.outbox order by seq")
    return rows.map((row) => row['key'])
  }

  test('that is rolled back takes what was published inside with it', async () => {
    const { database } = await openDatabase()

    expect(await publishedAround(database)).toEqual(['outside'])
  })

  test('that is ignored publishes what was undone, and this judge sees it', async () => {
    const { database } = await openDatabase()

    expect(await publishedAround(savepointIgnored(database))).toEqual(['outside', 'inside'])
  })
})
