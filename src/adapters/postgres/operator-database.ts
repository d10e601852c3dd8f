import type { Queryable } from '../../core/database/database.ts'
import type { DiagnosticCatalogue } from '../../core/diagnostics.ts'
import type { Clock } from '../../foundation/clock.ts'
import { Diagnostics } from '../../foundation/diagnostics.ts'
import { createPool, PostgresDatabase } from './database.ts'
import { checkMigrated } from './migrate.ts'

const CONNECTIONS = 3
const CONNECT_TIMEOUT_MS = 5_000
/** An operator's question may read much; whoever asks it sees that it takes long. */
const ANSWER_TIMEOUT_MS = 120_000
const LOCK_TIMEOUT_MS = 10_000
const OUTCOME_DEADLINE_MS = 10_000

/**
 * Opens a service's database for one command of an operator: a few connections, named after the command.
 *
 * @param command for `pg_stat_activity`: `trunkline outbox status`
 * @returns the caller closes it
 * @throws ConfigurationError `DATABASE_NOT_MIGRATED`, `DATABASE_NEWER`, `DATABASE_REFUSED`, `DATABASE_PRIVILEGE_MISSING`
 * @throws TransientError the database is unreachable
 */
export async function openOperatorDatabase(connectionString: string, command: string, clock: Clock): Promise<PostgresDatabase> {
  const database = connect(connectionString, command, clock)
  try {
    await checkMigrated(database.outside)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

/** The same for questions that need no tables of ours. @throws TransientError, ConfigurationError `DATABASE_REFUSED` */
export async function withServer<Result>(
  connectionString: string,
  command: string,
  clock: Clock,
  work: (outside: Queryable) => Promise<Result>,
): Promise<Result> {
  const database = connect(connectionString, command, clock)
  try {
    return await work(database.outside)
  } finally {
    await database.close()
  }
}

function connect(connectionString: string, command: string, clock: Clock): PostgresDatabase {
  const pool = createPool({
    connection: { connectionString },
    maxConnections: CONNECTIONS,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
    applicationName: command,
  })
  return new PostgresDatabase(
    { pool, ownsPool: true, diagnostics: new Diagnostics<DiagnosticCatalogue>(), clock },
    { lockTimeoutMs: LOCK_TIMEOUT_MS, idleInTransactionMs: ANSWER_TIMEOUT_MS, outcomeDeadlineMs: OUTCOME_DEADLINE_MS },
  )
}
