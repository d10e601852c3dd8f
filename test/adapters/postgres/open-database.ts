import type { Pool } from 'pg'
import { onTestFinished } from 'vitest'
import { createPool, PostgresDatabase } from '../../../src/adapters/postgres/database.ts'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { createTestDatabase } from '../../kit/database.ts'

export interface OpenDatabase {
  readonly database: PostgresDatabase
  readonly diagnostics: BackboneDiagnostics
  readonly url: string
}

/** A `PostgresDatabase` on a migrated database of the test's own; both go away with the test. */
export async function openDatabase(
  given: {
    url?: string
    pool?: Pool
    maxConnections?: number
    connectTimeoutMs?: number
    lockTimeoutMs?: number
    answerTimeoutMs?: number
  } = {},
): Promise<OpenDatabase> {
  const url = given.url ?? (await createTestDatabase()).url
  const diagnostics: BackboneDiagnostics = new Diagnostics<DiagnosticCatalogue>()
  const pool =
    given.pool ??
    createPool({
      connection: { connectionString: url },
      maxConnections: given.maxConnections ?? 4,
      connectTimeoutMs: given.connectTimeoutMs ?? 5_000,
      answerTimeoutMs: given.answerTimeoutMs ?? 10_000,
      applicationName: 'trunkline test',
    })
  const database = new PostgresDatabase(
    { pool, ownsPool: given.pool === undefined, diagnostics, clock: systemClock },
    { lockTimeoutMs: given.lockTimeoutMs ?? 2_000, idleInTransactionMs: 10_000, outcomeDeadlineMs: 400 },
  )
  onTestFinished(() => database.close())
  return { database, diagnostics, url }
}

/** The same, with a table whose numbers tell which transactions were kept. */
export async function withTable(given: Parameters<typeof openDatabase>[0] = {}) {
  const open = await openDatabase(given)
  await open.database.outside.query('create table if not exists effect (n int primary key)')
  const numbers = async (): Promise<number[]> => {
    const { rows } = await open.database.outside.query('select n from effect order by n')
    return rows.map((row) => Number(row['n']))
  }
  return { ...open, numbers }
}

export const insert = 'insert into effect (n) values ($1)'
