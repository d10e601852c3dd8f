import type { ClientConfig, Pool } from 'pg'
import { OrmDatabase, type OrmDatabaseOptions } from '../adapters/orm/orm-database.ts'
import type { TransactionSource } from '../adapters/orm/transaction-source.ts'
import { createPool, PostgresDatabase } from '../adapters/postgres/database.ts'
import { PostgresIncidentLog } from '../adapters/postgres/incident-log.ts'
import { PostgresOutboxAppender } from '../adapters/postgres/outbox-appender.ts'
import { PostgresOutboxBell } from '../adapters/postgres/outbox-bell.ts'
import { PostgresOutboxGauge } from '../adapters/postgres/outbox-gauge.ts'
import { PostgresOutboxStoreFactory } from '../adapters/postgres/outbox-store.ts'
import type { ParsedOptions } from '../config.ts'
import type { Database } from '../core/database/database.ts'
import { OutboxRoom } from '../core/outbox/outbox-room.ts'
import { Publisher } from '../core/outbox/publish.ts'
import type { DatabaseParts, SharedParts } from './parts.ts'

const OUTCOME_DEADLINE_MS = 10_000
const CONNECT_TIMEOUT_MS = 5_000
/** Where a library has the transactions: for positions, incidents and the question what became of a COMMIT. */
const BESIDE_CONNECTIONS = 3

type OwnDatabase = Exclude<ParsedOptions['database'], TransactionSource<object>>

/** Builds the database side; nothing connects before it is used. `Tx` is what the options say that it is. */
export function buildDatabase<Tx extends object>(options: ParsedOptions, shared: SharedParts, onPublished: () => void): DatabaseParts<Tx> {
  const { service } = options
  const { database, connection } = openDatabase<Tx>(options, shared)
  const appender = new PostgresOutboxAppender(database)
  const gauge = new PostgresOutboxGauge(database.outside)
  const room = new OutboxRoom({ ...shared, gauge }, options.outbox)
  return {
    database,
    publisher: new Publisher({ ...shared, database, appender, service, room, onPublished }),
    bell: new PostgresOutboxBell(connection),
    outboxes: new PostgresOutboxStoreFactory(connection, { archiveMs: options.outbox.archive }),
    incidents: new PostgresIncidentLog({ ...shared, database, service }),
    address: addressOf(connection),
  }
}

/** The relay's connections are its own: they must not wait for, or be counted in, anybody's pool. */
function openDatabase<Tx extends object>(
  options: ParsedOptions,
  shared: SharedParts,
): { database: Database<Tx>; connection: ClientConfig } {
  const { database } = options
  if ('transaction' in database) {
    const connection = { ...database.address }
    const beside = overPool(options, shared, poolAt(options, connection, BESIDE_CONNECTIONS), true)
    // The type of the backbone was taken from this very source.
    const source = database as unknown as TransactionSource<Tx>
    return { database: new OrmDatabase({ ...shared, source, beside }, limitsOf(options)), connection }
  }
  const { pool, ownsPool, connection } = poolOf(options, database)
  // Without a library's source, the backbone's transactions are ours.
  return { database: overPool(options, shared, pool, ownsPool) as unknown as Database<Tx>, connection }
}

function overPool(options: ParsedOptions, shared: SharedParts, pool: Pool, ownsPool: boolean): PostgresDatabase {
  return new PostgresDatabase({ ...shared, pool, ownsPool }, { ...limitsOf(options), outcomeDeadlineMs: OUTCOME_DEADLINE_MS })
}

function limitsOf(options: ParsedOptions): OrmDatabaseOptions {
  return { lockTimeoutMs: options.lockTimeout, idleInTransactionMs: options.idleInTransaction }
}

function poolOf(options: ParsedOptions, database: OwnDatabase): { pool: Pool; ownsPool: boolean; connection: ClientConfig } {
  if ('pool' in database) {
    const { options: own } = database.pool
    // The pool hides its password from being copied, so that it is not logged by accident.
    const connection = { ...own, ...(own.password === undefined ? {} : { password: own.password }) }
    return { pool: database.pool, ownsPool: false, connection }
  }
  const connection = { connectionString: database.connectionString }
  return { pool: poolAt(options, connection, database.maxConnections, database.connectTimeout), ownsPool: true, connection }
}

function poolAt(options: ParsedOptions, connection: ClientConfig, maxConnections: number, connectTimeoutMs = CONNECT_TIMEOUT_MS): Pool {
  return createPool({
    connection,
    maxConnections,
    connectTimeoutMs,
    answerTimeoutMs: options.idleInTransaction,
    applicationName: `trunkline ${options.service}`,
  })
}

function addressOf(connection: ClientConfig): string {
  if (connection.connectionString === undefined) {
    return `${connection.host ?? 'localhost'}:${connection.port ?? 5432}/${connection.database ?? ''}`
  }
  const url = URL.parse(connection.connectionString)
  return url === null ? 'the address in DATABASE_URL' : `${url.host}${url.pathname}`
}
