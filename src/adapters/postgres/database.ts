import type { Duplex } from 'node:stream'
import { type ClientConfig, Pool, type PoolClient } from 'pg'
import type {
  Database,
  Queryable,
  QueryResult,
  Transaction,
  TransactionHooks,
  TransactionOutcome,
  TransactionPart,
} from '../../core/database/database.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, PermanentError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { endedTransaction } from './ended-transaction.ts'
import { mapDatabaseError } from './errors.ts'
import { isFromPg } from './from-pg.ts'
import { Loan } from './loan.ts'
import { isReplyLost, resolveLostReply } from './lost-reply.ts'
import { askOutcome, generationSql, toTransactionId } from './outcome.ts'
import { PoolEnd } from './pool-end.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { sendCommit } from './send-commit.ts'
import { statement } from './statement.ts'
import { OpenTransaction } from './transaction.ts'
import { type Face, TransactionFace } from './transaction-face.ts'
import { OpenPart } from './transaction-part.ts'
import { Wakefulness } from './wakefulness.ts'

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
  /** Where the server is, and who connects. */
  readonly connection: ClientConfig
  readonly maxConnections: number
  readonly connectTimeoutMs: number
  /** A statement that goes unanswered so long has lost its connection: a network that swallows everything says nothing. */
  readonly answerTimeoutMs: number
  readonly applicationName: string
  /** Opens the socket of a connection; a test that ends the process's connections gives its own. */
  readonly stream?: () => Duplex
}

/** A pool whose connections pipeline: statements that do not wait for each other share a round trip. */
export function createPool(settings: PoolSettings): Pool {
  const pool = new Pool({
    ...settings.connection,
    max: settings.maxConnections,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    query_timeout: settings.answerTimeoutMs,
    application_name: settings.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    pipeline: true,
    ...(settings.stream === undefined ? {} : { stream: settings.stream }),
  })
  // An idle connection that breaks is dropped by the pool; without a listener it would end the process.
  pool.on('error', () => undefined)
  return pool
}

/** Transactions on a `pg` pool; see the port for what is promised. */
export class PostgresDatabase implements Database<Transaction> {
  readonly #parts: PostgresDatabaseParts
  readonly #options: PostgresDatabaseOptions
  /** The generation of the server by connection; one that is not in here has no limits set yet. */
  readonly #generations = new WeakMap<PoolClient, string>()
  readonly #poolEnd: PoolEnd | undefined
  readonly #shared = { prepared: new PreparedStatements(), wakefulness: new Wakefulness() }
  readonly transactions = 'own'
  readonly outside: Queryable

  constructor(parts: PostgresDatabaseParts, options: PostgresDatabaseOptions) {
    this.#parts = parts
    this.#options = options
    this.#poolEnd = parts.ownsPool ? new PoolEnd(parts.pool) : undefined
    parts.pool.on('connect', ignoreLoss)
    this.outside = { query: (text, values, often) => this.#queryOutside(text, values, often) }
  }

  async transaction<Result>(work: (tx: Transaction) => Promise<Result>, hooks: TransactionHooks<Transaction> = {}): Promise<Result> {
    const loan = await this.#checkOut()
    const transaction = new OpenTransaction(loan.client, hooks, this.#shared)
    TransactionFace.put(transaction.face, this, transaction)
    try {
      // Not awaited: what comes first, BEGIN and the first statement of the work leave together.
      const ahead = hooks.ahead?.(transaction.ahead)
      const begun = Promise.all([ahead, transaction.begin()])
      begun.catch(() => undefined)
      const result = await work(transaction.face)
      await this.#commit(loan, transaction, begun, hooks)
      loan.giveBack()
      return result
    } catch (error) {
      transaction.close('now')
      await this.#abandon(loan, transaction, error)
      throw reasonOf(transaction, error)
    } finally {
      this.#forget(transaction.face)
    }
  }

  readonly #forget = (face: Face): void => TransactionFace.put(face, this, endedTransaction)

  /**
   * Where the transaction's number is known, or nobody needs it, the last statements and COMMIT leave in one write; if
   * the statements fail, the tag of COMMIT says so. Work that sent nothing has its last statements leave with BEGIN.
   */
  async #commit(loan: Loan, transaction: OpenTransaction, begun: Promise<unknown>, hooks: TransactionHooks<Transaction>): Promise<void> {
    // Behind a BEGIN on its way, which may fail, a statement would be a transaction of its own: in one write it is skipped.
    if (!transaction.sender.isAtFirst || hooks.lastWaits?.(transaction.face) === true) {
      await begun
      await transaction.settled()
    }
    transaction.refuseIfLost()
    const reruns = hooks.rerunsWhenUnknown === true
    const waits = hooks.lastWaits?.(transaction.face) === true || transaction.busy
    const last = hooks.beforeCommit?.(transaction.face) ?? Promise.resolve(undefined)
    // What has not sent a statement by now has nothing that would fail the COMMIT: if it failed, there must be none. Nor may
    // a statement that somebody else sends meanwhile be taken for it, or one that cannot be written be left out.
    const together = (reruns || transaction.number !== undefined) && !waits && transaction.busy && transaction.sender.takesCommit
    last.catch(() => undefined)
    // BEGIN first: what left with one that failed only says that it did.
    if (!together) await begun
    const inserted = together ? undefined : await last
    const number = reruns ? undefined : (inserted ?? transaction.number ?? (await transaction.askNumber()))
    const transactionId = number === undefined ? undefined : toTransactionId(loan.generation, number)
    transaction.close('with what follows')
    const { diagnostics } = this.#parts
    diagnostics.emit('transaction.committing', { transactionId })
    const [statements, committed] = await Promise.allSettled([last, sendCommit(transaction)])
    if (committed.status === 'rejected' && isReplyLost(committed.reason) && !reruns) {
      // Its place in the pool is given back before the server is asked: all the others may be in the same situation.
      loan.destroy()
      await resolveLostReply({ diagnostics, outcomeOf: (id) => this.outcomeOf(id) }, transactionId, committed.reason)
    } else {
      if (statements.status === 'rejected') throw statements.reason
      if (committed.status === 'rejected') throw committed.reason
    }
    diagnostics.emit('transaction.committed', { transactionId })
  }

  outcomeOf(transactionId: string): Promise<TransactionOutcome> {
    return askOutcome({ outside: this.outside, clock: this.#parts.clock }, transactionId, this.#options.outcomeDeadlineMs)
  }

  part(tx: Transaction, traces = false): TransactionPart<Transaction> {
    const whole = this.#whole(tx)
    whole.beginPart()
    const part = new OpenPart(whole, traces, this.#forget)
    TransactionFace.put(part.tx, this, part)
    return part
  }

  savepoint<Result>(tx: Transaction, work: () => Promise<Result>): Promise<Result> {
    return this.#whole(tx).savepoint(work, tx, 'at once')
  }

  #whole(tx: Transaction): OpenTransaction {
    const open = TransactionFace.behind(tx, this)
    if (open instanceof OpenTransaction) return open
    throw new PermanentError('TRANSACTION_NEEDED', 'This needs a whole transaction of this database.')
  }

  wholeOf(tx: Transaction): Transaction | undefined {
    const open = TransactionFace.behind(tx, this)
    if (open instanceof OpenPart) return open.whole
    return open instanceof OpenTransaction ? tx : undefined
  }

  numberOf(tx: Transaction): string | undefined {
    return TransactionFace.behind(tx, this)?.number
  }

  queryable(tx: Transaction): Queryable {
    const open = TransactionFace.behind(tx, this)
    return open === undefined ? tx : { query: (text, values = [], often) => open.run(text, values, often) }
  }

  checkPlace(tx: Transaction): void {
    TransactionFace.behind(tx, this)?.checkPlace()
  }

  owns(tx: unknown): boolean {
    return isFromPg(tx) || TransactionFace.behind(tx, this) !== undefined
  }

  async reachable(): Promise<boolean> {
    const asked = this.#queryOutside('select 1').catch((error: unknown) => error)
    return (await endsWithin(asked, 2_000)) && !((await asked) instanceof Error)
  }

  async close(): Promise<void> {
    await this.#poolEnd?.end()
    this.#parts.pool.off('connect', ignoreLoss)
  }

  async #queryOutside(text: string, values: readonly unknown[] = [], often?: 'often'): Promise<QueryResult> {
    const name = often === undefined ? undefined : this.#shared.prepared.nameOf(text)
    try {
      const result = await this.#parts.pool.query(statement(text, values, name))
      return { rows: result.rows, rowCount: result.rowCount ?? 0 }
    } catch (error) {
      // Nothing was run, and from now on it has no name.
      if (name !== undefined && this.#shared.prepared.isRefusal(error, text)) return await this.#queryOutside(text, values)
      throw mapDatabaseError(error, 'A statement failed')
    }
  }

  async #checkOut(): Promise<Loan> {
    try {
      const client = await this.#parts.pool.connect()
      return new Loan(client, this.#generations.get(client) ?? (await this.#prepare(client)))
    } catch (error) {
      throw mapDatabaseError(error, 'A transaction could not begin')
    }
  }

  /**
   * A process that freezes in mid-transaction must not hold its locks for ever, whatever it was doing.
   *
   * @returns the generation of the server, which is the connection's own: a crash ends every connection
   */
  async #prepare(client: PoolClient): Promise<string> {
    // A pool that was given to us may have opened it before.
    ignoreLoss(client)
    const { lockTimeoutMs, idleInTransactionMs } = this.#options
    try {
      const { rows } = await client.query({ text: prepareSql, values: [String(lockTimeoutMs), String(idleInTransactionMs)] })
      const generation = String(rows[0]?.['generation'])
      this.#shared.prepared.heard(rows[0]?.['process_id'], Reflect.get(client, 'processID'))
      this.#generations.set(client, generation)
      return generation
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async #abandon(loan: Loan, transaction: OpenTransaction, error: unknown): Promise<void> {
    // An unsettled handler may still use its connection in some way, so nobody else may get it.
    const unusable =
      transaction.occupied || isTrunklineError(error, 'HANDLER_TIMEOUT') || isTrunklineError(transaction.lostBy, 'DATABASE_UNAVAILABLE')
    if (unusable || loan.returned) return loan.destroy()
    try {
      // Behind BEGIN, which may not have left.
      await transaction.send(statement('rollback'))
      loan.giveBack()
    } catch {
      loan.destroy()
    }
  }
}

const prepareSql = `
  select ${generationSql} as generation, pg_backend_pid() as process_id,
         set_config('lock_timeout', $1, false),
         set_config('idle_in_transaction_session_timeout', $2, false),
         set_config('tcp_user_timeout', $2, false)`

/**
 * Keeps the process alive when a connection breaks while it is checked out; the statement that waits is told anyway.
 *
 * It must be there when the pool hands the connection over: a server that shuts down may end it in the same packet in
 * which it opened it.
 */
function ignoreLoss(client: PoolClient): void {
  if (!client.listeners('error').includes(ignore)) client.on('error', ignore)
}

function ignore(): void {}

/** What the caller reacts to: a lost connection or a conflict, even where the work wrapped or hid it. */
function reasonOf(transaction: OpenTransaction, error: unknown): unknown {
  // What became of a COMMIT says more than that the statement in one write with it was not answered either.
  if (isTrunklineError(error, 'COMMIT_ABORTED') || isTrunklineError(error, 'COMMIT_OUTCOME_UNKNOWN')) return error
  const lostBy = transaction.lostBy
  const ours = isTrunklineError(lostBy, 'DATABASE_UNAVAILABLE') || isTrunklineError(lostBy, 'DATABASE_CONFLICT')
  return ours ? lostBy : error
}
