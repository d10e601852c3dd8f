import { onTestFinished } from 'vitest'
import { createPool, PostgresDatabase } from '../../../src/adapters/postgres/database.ts'
import { PostgresOutboxAppender } from '../../../src/adapters/postgres/outbox-appender.ts'
import { unpackHeaders } from '../../../src/core/broker/header-bytes.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { Publisher } from '../../../src/core/outbox/publish.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { createTestDatabase } from '../../kit/database.ts'

export interface SagaDatabase {
  readonly database: PostgresDatabase
  readonly publisher: Publisher<Transaction>
  readonly diagnostics: BackboneDiagnostics
  /** The same database, for sessions in which so much time has passed. */
  later(seconds: number): SagaDatabase
  /** What stands in the outbox, in order: topic, key and the envelope's headers. */
  published(): Promise<readonly Published[]>
}

export interface Published {
  readonly topic: string
  readonly key: string
  readonly value: Buffer
  /** Without `ce_`. */
  readonly envelope: Readonly<Record<string, string>>
}

export async function openSagaDatabase(): Promise<SagaDatabase> {
  const test = await createTestDatabase()
  onTestFinished(() => test.drop())
  return connect(test.url, 0)
}

function connect(url: string, shiftSeconds: number): SagaDatabase {
  const shifted = new URL(url)
  shifted.searchParams.set('options', `-c trunkline.shift=${shiftSeconds}s`)
  const pool = createPool({
    connection: { connectionString: shifted.href },
    maxConnections: 8,
    connectTimeoutMs: 5_000,
    answerTimeoutMs: 60_000,
    applicationName: 'test',
  })
  const diagnostics: BackboneDiagnostics = new Diagnostics<DiagnosticCatalogue>()
  const database = new PostgresDatabase(
    { pool, ownsPool: true, diagnostics, clock: systemClock },
    { lockTimeoutMs: 10_000, idleInTransactionMs: 20_000, outcomeDeadlineMs: 2_000 },
  )
  // Registered after the drop, so it runs before: a database in use cannot be dropped.
  onTestFinished(() => database.close())
  const appender = new PostgresOutboxAppender(database)
  const publisher = new Publisher({ database, appender, diagnostics, clock: systemClock, service: 'test', onPublished: () => undefined })
  return {
    database,
    publisher,
    diagnostics,
    later: (seconds) => connect(url, shiftSeconds + seconds),
    published: () => readOutbox(database),
  }
}

async function readOutbox(database: PostgresDatabase): Promise<readonly Published[]> {
  const { rows } = await database.outside.query('select topic, key, value, headers from trunkline.outbox order by seq')
  return rows.map((row) => ({
    topic: row['topic'],
    key: row['key'].toString(),
    value: row['value'],
    envelope: Object.fromEntries(unpackHeaders(row['headers']).map(([name, value]) => [name.replace(/^ce_/, ''), value.toString()])),
  }))
}
