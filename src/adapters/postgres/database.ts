import { Pool, type PoolClient } from 'pg'
import type { Database, Queryable, QueryResult, Transaction, TransactionHooks, TransactionOutcome } from '../../core/database/database.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf, TransientError, UnknownOutcomeError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { mapDatabaseError } from './errors.ts'
import { OpenTransaction, statement } from './transaction.ts'

export interface PostgresDatabaseOptions {
  readonly lockTimeoutMs: number
  readonly idleInTransactionMs: number
  /** How long to ask what became of a COMMIT whose reply was lost. */
  readonly outcomeDeadlineMs: number
}

export interface PostgresDatabaseParts {
  readonly pool: Pool
  /** Whether `close` ends the pool: only if it is ours. */
  readonly ownsPool: boolean
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

export interface PoolSettings {
  readonly connectionString: string
  readonly maxConnections: number
  readonly connectTimeoutMs: number
  /** A statement that goes unanswered so long has lost its connection: a network that swallows everything says nothing. */
  readonly answerTimeoutMs: number
  readonly applicationName: string
}

/** A pool whose connections pipeline: statements that do not wait for each other share a round trip. */
export function createPool(settings: PoolSettings): Pool {
  const pool = new Pool({
    connectionString: settings.connectionString,
    max: settings.maxConnections,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    query_timeout: settings.answerTimeoutMs,
    application_name: settings.applicationName,
    keepAlive: true,
    pipeline: true,
  })
  // An idle connection that breaks is dropped by the pool; without a listener it would end the process.
  pool.on('error', () => undefined)
  return pool
}

/** Transactions on a `pg` pool; see the port for what is promised. */
export class PostgresDatabase implements Database<Transaction> {
  readonly #parts: PostgresDatabaseParts
  readonly #options: PostgresDatabaseOptions
  readonly #prepared = new WeakSet<PoolClient>()
  readonly #open = new WeakMap<Transaction, OpenTransaction>()
  readonly outside: Queryable

  constructor(parts: PostgresDatabaseParts, options: PostgresDatabaseOptions) {
    this.#parts = parts
    this.#options = options
    this.outside = { query: (text, values) => this.#queryOutside(text, values) }
  }

  async transaction<Result>(work: (tx: Transaction) => Promise<Result>, hooks: TransactionHooks<Transaction> = {}): Promise<Result> {
    const client = await this.#checkOut()
    const transaction = new OpenTransaction(client, hooks)
    this.#open.set(transaction.face, transaction)
    try {
      // Not awaited: BEGIN and the first statement of the work leave together.
      const begun = transaction.run('begin isolation level read committed', [])
      begun.catch(() => undefined)
      const result = await work(transaction.face)
      await begun
      await this.#commit(client, transaction, hooks)
      client.release()
      return result
    } catch (error) {
      transaction.close()
      await this.#abandon(client, transaction, error)
      throw reasonOf(transaction, error)
    }
  }

  async #commit(client: PoolClient, transaction: OpenTransaction, hooks: TransactionHooks<Transaction>): Promise<void> {
    await transaction.settled()
    if (transaction.lostBy !== undefined) throw transaction.lostBy
    const last = hooks.beforeCommit?.(transaction.face) ?? Promise.resolve(undefined)
    if (hooks.rerunsWhenUnknown === true) return this.#commitAtOnce(client, transaction, last)
    const transactionId = (await last) ?? (await assignedTransactionId(transaction))
    transaction.close()
    const { diagnostics } = this.#parts
    diagnostics.emit('transaction.committing', { transactionId })
    try {
      await sendCommit(client)
    } catch (error) {
      if (!isReplyLost(error)) throw error
      await this.#resolveLostReply(transactionId, error)
    }
    diagnostics.emit('transaction.committed', { transactionId })
  }

  /** The last statements and COMMIT leave in one write; if the statements fail, the tag of COMMIT says so. */
  async #commitAtOnce(client: PoolClient, transaction: OpenTransaction, last: Promise<unknown>): Promise<void> {
    // What has not sent a statement by now has nothing that would fail the COMMIT: if it failed, there must be none.
    if (!transaction.busy) await last
    transaction.close()
    this.#parts.diagnostics.emit('transaction.committing', { transactionId: undefined })
    const [statements, committed] = await Promise.allSettled([last, sendCommit(client)])
    if (statements.status === 'rejected') throw statements.reason
    if (committed.status === 'rejected') throw committed.reason
    this.#parts.diagnostics.emit('transaction.committed', { transactionId: undefined })
  }

  /** Returns when the transaction is known to be committed. */
  async #resolveLostReply(transactionId: string | undefined, lost: TransientError): Promise<void> {
    const outcome = transactionId === undefined ? 'unknown' : await this.outcomeOf(transactionId)
    if (outcome === 'committed') return
    if (outcome === 'aborted') {
      const message = `The connection was lost during COMMIT; the server says that transaction ${transactionId} was rolled back. Nothing was changed: run it again.`
      throw new TransientError('COMMIT_ABORTED', message, { transactionId }, lost)
    }
    this.#parts.diagnostics.emit('transaction.outcome_unknown', { transactionId })
    throw new UnknownOutcomeError(
      'COMMIT_OUTCOME_UNKNOWN',
      `The connection was lost during COMMIT and the server could not be asked (${messageOf(lost)}). The transaction may have been committed. ` +
        'Ask backbone.outcomeOf(error) when the database is back, before you run it again.',
      { transactionId },
      lost,
    )
  }

  async outcomeOf(transactionId: string): Promise<TransactionOutcome> {
    const { clock } = this.#parts
    const deadline = clock.monotonic() + this.#options.outcomeDeadlineMs
    for (let pauseMs = 5; clock.monotonic() < deadline; pauseMs = Math.min(pauseMs * 2, 250)) {
      const status = await this.#statusOf(transactionId)
      if (status === 'committed' || status === 'aborted') return status
      if (status === 'too old') return 'unknown'
      await clock.sleep(pauseMs)
    }
    return 'unknown'
  }

  async #statusOf(transactionId: string): Promise<string> {
    try {
      // On a standby the answer could be old; the primary alone decides.
      const { rows } = await this.#queryOutside('select pg_xact_status($1::xid8) as status, pg_is_in_recovery() as standby', [
        transactionId,
      ])
      if (rows[0]?.['standby'] === true) return 'in progress'
      return String(rows[0]?.['status'] ?? 'too old')
    } catch (error) {
      if (isTrunklineError(error, 'DATABASE_UNAVAILABLE')) return 'in progress'
      throw error
    }
  }

  queryable(tx: Transaction): Queryable {
    const open = this.#open.get(tx)
    return open === undefined ? tx : { query: (text, values = []) => open.run(text, values) }
  }

  owns(tx: unknown): boolean {
    return typeof tx === 'object' && tx !== null && this.#open.has(tx as Transaction)
  }

  async reachable(): Promise<boolean> {
    const asked = this.#queryOutside('select 1').catch((error: unknown) => error)
    return (await endsWithin(asked, 2_000)) && !((await asked) instanceof Error)
  }

  async close(): Promise<void> {
    if (this.#parts.ownsPool) await this.#parts.pool.end()
  }

  async #queryOutside(text: string, values: readonly unknown[] = []): Promise<QueryResult> {
    try {
      const result = await this.#parts.pool.query(statement(text, values))
      return { rows: result.rows, rowCount: result.rowCount ?? 0 }
    } catch (error) {
      throw mapDatabaseError(error, 'A statement failed')
    }
  }

  async #checkOut(): Promise<PoolClient> {
    try {
      const client = await this.#parts.pool.connect()
      if (!this.#prepared.has(client)) await this.#prepare(client)
      return client
    } catch (error) {
      throw mapDatabaseError(error, 'A transaction could not begin')
    }
  }

  /** A process that freezes in mid-transaction must not hold its locks for ever, whatever it was doing. */
  async #prepare(client: PoolClient): Promise<void> {
    // A connection that breaks while it is checked out also tells the statement that waits; this keeps the process alive.
    client.on('error', () => undefined)
    const { lockTimeoutMs, idleInTransactionMs } = this.#options
    try {
      await client.query({ text: prepareSql, values: [String(lockTimeoutMs), String(idleInTransactionMs)] })
      this.#prepared.add(client)
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async #abandon(client: PoolClient, transaction: OpenTransaction, error: unknown): Promise<void> {
    // An unsettled handler may still use its connection in some way, so nobody else may get it.
    const unusable =
      transaction.busy || isTrunklineError(error, 'HANDLER_TIMEOUT') || isTrunklineError(transaction.lostBy, 'DATABASE_UNAVAILABLE')
    if (unusable) return client.release(true)
    try {
      await client.query(statement('rollback'))
      client.release()
    } catch {
      client.release(true)
    }
  }
}

const prepareSql = `
  select set_config('lock_timeout', $1, false),
         set_config('idle_in_transaction_session_timeout', $2, false),
         set_config('tcp_user_timeout', $2, false)`

/** What the caller reacts to: a lost connection or a conflict, even where the work wrapped or hid it. */
function reasonOf(transaction: OpenTransaction, error: unknown): unknown {
  const lostBy = transaction.lostBy
  const ours = isTrunklineError(lostBy, 'DATABASE_UNAVAILABLE') || isTrunklineError(lostBy, 'DATABASE_CONFLICT')
  return ours ? lostBy : error
}

async function assignedTransactionId(transaction: OpenTransaction): Promise<string | undefined> {
  const { rows } = await transaction.run('select pg_current_xact_id_if_assigned()::text as id', [])
  return rows[0]?.['id'] ?? undefined
}

async function sendCommit(client: PoolClient): Promise<void> {
  const { command } = await client.query(statement('commit')).catch((error: unknown) => {
    throw mapDatabaseError(error, 'COMMIT')
  })
  // COMMIT of an aborted transaction succeeds, with another tag and no error.
  if (command !== 'COMMIT') throw rolledBack(command)
}

/** Nobody answered, or the server went down while it answered: the transaction may be committed. */
function isReplyLost(error: unknown): error is TransientError {
  return isTrunklineError(error, 'DATABASE_UNAVAILABLE')
}

function rolledBack(tag: string): TransientError {
  return new TransientError(
    'COMMIT_ROLLED_BACK',
    `The server answered COMMIT with ${tag}: a statement of the transaction had failed, so nothing was kept. ` +
      'Let errors of statements reach the backbone, or use tx.savepoint(fn) for a part that may fail.',
    { tag },
  )
}
