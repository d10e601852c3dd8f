import type { ClientConfig, Pool } from 'pg'
import { createPool, PostgresDatabase } from '../adapters/postgres/database.ts'
import { PostgresIncidentLog } from '../adapters/postgres/incident-log.ts'
import { PostgresOutboxAppender } from '../adapters/postgres/outbox-appender.ts'
import { PostgresOutboxStoreFactory } from '../adapters/postgres/outbox-store.ts'
import type { ParsedOptions } from '../config.ts'
import type { Transaction } from '../core/database/database.ts'
import { Publisher } from '../core/outbox/publish.ts'
import type { DatabaseParts, SharedParts } from './parts.ts'

const OUTCOME_DEADLINE_MS = 10_000

/** Builds the database side; nothing connects before it is used. */
export function buildDatabase(options: ParsedOptions, shared: SharedParts, onPublished: () => void): DatabaseParts<Transaction> {
  const { service } = options
  const { pool, ownsPool, connection } = connectionOf(options)
  const database = new PostgresDatabase(
    { ...shared, pool, ownsPool },
    { lockTimeoutMs: options.lockTimeout, idleInTransactionMs: options.idleInTransaction, outcomeDeadlineMs: OUTCOME_DEADLINE_MS },
  )
  const appender = new PostgresOutboxAppender(database)
  return {
    database,
    publisher: new Publisher({ ...shared, database, appender, service, onPublished }),
    outboxes: new PostgresOutboxStoreFactory(connection),
    incidents: new PostgresIncidentLog({ ...shared, database, service }),
    address: addressOf(connection),
  }
}

function connectionOf(options: ParsedOptions): { pool: Pool; ownsPool: boolean; connection: ClientConfig } {
  const { database, service } = options
  // The relay's connections are its own: they must not wait for, or be counted in, anybody's pool.
  if ('pool' in database) {
    const { options: own } = database.pool
    // The pool hides its password from being copied, so that it is not logged by accident.
    return {
      pool: database.pool,
      ownsPool: false,
      connection: { ...own, ...(own.password === undefined ? {} : { password: own.password }) },
    }
  }
  const { connectionString } = database
  const pool = createPool({
    connectionString,
    maxConnections: database.maxConnections,
    connectTimeoutMs: database.connectTimeout,
    answerTimeoutMs: options.idleInTransaction,
    applicationName: `trunkline ${service}`,
  })
  return { pool, ownsPool: true, connection: { connectionString } }
}

function addressOf(connection: ClientConfig): string {
  if (connection.connectionString === undefined) {
    return `${connection.host ?? 'localhost'}:${connection.port ?? 5432}/${connection.database ?? ''}`
  }
  const url = URL.parse(connection.connectionString)
  return url === null ? 'the address in DATABASE_URL' : `${url.host}${url.pathname}`
}
