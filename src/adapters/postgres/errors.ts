import { ConfigurationError, ConflictError, messageOf, TransientError, TrunklineError } from '../../foundation/errors.ts'

/** Another transaction was first: serialization failure, deadlock, lock not available. */
const conflicts = new Set(['40001', '40P01', '55P03'])

/**
 * The server cannot serve anybody just now. Class 08 connection, 25006 read-only after a failover, 53 resources,
 * 57P01–57P03 shutdown, 57P05 idle session, 25P03 idle in transaction.
 */
const unavailable = /^(08...|25006|25P03|53...|57P0[1-5])$/

/** The server knows neither this user with this password (28...) nor this database (3D000). */
const unknownToServer = /^(28...|3D000)$/

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOENT',
])

const networkMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Query read timeout|The server does not support SSL|Cannot use a pool after calling end)/

/** The pool's own words, both for a server that is silent and for connections that are all taken. */
const noneFree = /^timeout exceeded when trying to connect/
const NONE_FREE =
  'It can be tried again. Either the server does not answer (DATABASE_URL), or every connection of the pool is in use: then raise database.maxConnections, or the max of your pool, and look for transactions that last long or wait for a second connection.'

/**
 * The only place that reads the driver's errors.
 *
 * @returns an error of ours where the reaction is known; otherwise the error itself, untouched
 */
export function mapDatabaseError(error: unknown, doing: string): unknown {
  if (error instanceof TrunklineError || !(error instanceof Error)) return error
  const code = codeOf(error)
  if (code !== undefined && conflicts.has(code)) {
    const message = `${doing}: another transaction was first (${code} ${error.message}). Run it again.`
    return new ConflictError('DATABASE_CONFLICT', message, { sqlState: code }, error)
  }
  if (isOurRace(error, code)) {
    return new ConflictError(
      'DATABASE_CONFLICT',
      `${doing}: a row of ours went elsewhere meanwhile. Run it again.`,
      { sqlState: code },
      error,
    )
  }
  if (code === '25P02') return transactionLost(doing, error)
  if (isLost(error, code)) {
    const remedy = noneFree.test(error.message) ? NONE_FREE : 'It can be tried again; check DATABASE_URL and the server if it lasts.'
    const message = `${doing}: the database is not available (${messageOf(error) || (code ?? 'no reason given')}). ${remedy}`
    return new TransientError('DATABASE_UNAVAILABLE', message, { sqlState: code }, error)
  }
  // Only while connecting: in a statement these codes are somebody's own, of dblink or of a function that raises them.
  if (code !== undefined && unknownToServer.test(code) && isFatal(error)) {
    const message = `${doing}: the server refused the connection (${code} ${error.message}). Correct the user, the password or the database's name in DATABASE_URL, or what the server allows them.`
    return new ConfigurationError('DATABASE_REFUSED', message, { sqlState: code }, error)
  }
  return error
}

/** Whether the server has said it, and not the driver. */
export function isFromServer(error: unknown): boolean {
  return error instanceof Error && 'severity' in error
}

/** A statement that the server did not run, because one before it in its transaction had failed. */
export function transactionLost(doing: string, error: unknown): TransientError {
  const message = `${doing}: an earlier statement of the transaction had failed, so this one was not run. Let that error reach the backbone, or use tx.savepoint(fn) for a part that may fail.`
  return new TransientError('TRANSACTION_LOST', message, { sqlState: codeOf(error) }, error)
}

/** @returns a `ConfigurationError` that names the privilege, where that is what is missing; otherwise the error itself */
export function mapPrivilegeError(error: unknown, remedy: string): unknown {
  if (!(error instanceof Error) || codeOf(error) !== '42501') return error
  const message = `The database user may not do this (${error.message}). ${remedy}`
  return new ConfigurationError('DATABASE_PRIVILEGE_MISSING', message, { sqlState: '42501' }, error)
}

/** @returns a `TransientError` `DATABASE_FULL` where the server has no disk or memory left for a statement, and the session goes on; otherwise the error itself */
export function mapFull(error: unknown, doing: string): unknown {
  if (!(error instanceof Error) || !/^53[124]00$/.test(codeOf(error) ?? '') || isFatal(error)) return error
  const message = `${doing}: the database has no room (${messageOf(error)}). It can be tried again; free disk or memory of the server.`
  return new TransientError('DATABASE_FULL', message, { sqlState: codeOf(error) }, error)
}

/** @returns a `ConfigurationError` where one of our tables is not there; otherwise the error itself */
export function mapMissingTable(error: unknown): unknown {
  // 3F000: not even the schema.
  if (!(error instanceof Error) || !/^(42P01|3F000)$/.test(codeOf(error) ?? '') || !error.message.includes('trunkline')) return error
  const message = `The database lacks a table of Trunkline (${error.message}). Run "npx trunkline migrate" with the same DATABASE_URL, and check that the transaction belongs to that database.`
  return new ConfigurationError('DATABASE_NOT_MIGRATED', message, {}, error)
}

/** A key was unparked, or a day of the inbox opened, between two statements. Nobody else's constraints are ours to judge. */
function isOurRace(error: Error, code: string | undefined): boolean {
  if (!('table' in error && 'schema' in error && error.schema === 'trunkline')) return false
  return (code === '23503' && error.table === 'parked_message') || (code === '23514' && error.table === 'inbox_rest')
}

function isFatal(error: Error): boolean {
  return 'severity' in error && error.severity === 'FATAL'
}

function isLost(error: Error, code: string | undefined): boolean {
  if (code !== undefined && (networkCodes.has(code) || unavailable.test(code))) return true
  if (error instanceof AggregateError) return error.errors.some((inner) => inner instanceof Error && isLost(inner, codeOf(inner)))
  return networkMessages.test(error.message)
}

/** The SQLSTATE, or Node's code of a network error. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
