import type { PoolClient } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createPool } from '../../../src/adapters/postgres/database.ts'
import { StatementGroup } from '../../../src/adapters/postgres/statement-group.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { collector } from '../../kit/usage.ts'
import { until } from '../../kit/wait.ts'
import { openDatabase } from './open-database.ts'

/** A database whose groups somebody keeps, as the driver's limits for answers do until a major collection. */
async function keptGroups() {
  const { url } = await createTestDatabase()
  const pool = createPool({
    connection: { connectionString: url },
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    answerTimeoutMs: 10_000,
    applicationName: 'trunkline test',
  })
  onTestFinished(() => pool.end())
  const groups: StatementGroup[] = []
  pool.on('connect', (client: PoolClient) => {
    const query: unknown = client.query
    const kept = (...asked: unknown[]): unknown => {
      groups.push(...asked.filter((each) => each instanceof StatementGroup))
      return typeof query === 'function' ? Reflect.apply(query, client, asked) : undefined
    }
    Reflect.set(client, 'query', kept)
  })
  return { ...(await openDatabase({ url, pool })), groups }
}

test('what was answered is forgotten while somebody still has the query that asked', async () => {
  const collect = collector()
  const { database, groups } = await keptGroups()

  const answered = await database.transaction(async (tx) => {
    const { rows } = await tx.query(`select 'a' as text`)
    return new WeakRef(rows)
  })

  await until('the rows are collected', () => {
    collect()
    return answered.deref() === undefined
  })
  expect(groups.length).toBeGreaterThan(1)
})

test('what failed is forgotten as well', async () => {
  const collect = collector()
  const { database, groups } = await keptGroups()

  const told = await database
    .transaction((tx) => tx.query('select 1 / 0'))
    .then(
      () => undefined,
      (error: object) => new WeakRef(error),
    )

  await until('the error is collected', () => {
    collect()
    return told?.deref() === undefined
  })
  expect(told).toBeDefined()
  expect(groups.length).toBeGreaterThan(0)
})
