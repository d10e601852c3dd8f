import type { Database, Queryable, QueryResult, TransactionHooks, TransactionOutcome } from '../../core/database/database.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, PermanentError } from '../../foundation/errors.ts'
import { isReplyLost, resolveLostReply } from '../postgres/lost-reply.ts'
import { generationSql, toTransactionId } from '../postgres/outcome.ts'
import { mapOrmError } from './errors.ts'
import { toTextValue } from './text-value.ts'
import type { TransactionSource } from './transaction-source.ts'

export interface OrmDatabaseParts<Tx extends object> {
  readonly source: TransactionSource<Tx>
  /** Our own few connections to the same server, for what happens outside the library's transactions. */
  readonly beside: Pick<Database<never>, 'outside' | 'outcomeOf' | 'reachable' | 'close'>
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

export interface OrmDatabaseOptions {
  readonly lockTimeoutMs: number
  readonly idleInTransactionMs: number
}

/** What is known of a transaction that the library opened for us. */
interface Open {
  state: 'open' | 'ended'
  /** Our statements wait for each other; libraries disagree about what happens when they do not. */
  turn: Promise<unknown> | undefined
  lostBy: unknown
}

/** What the last statement says; COMMIT is next, and only the library sees its answer. */
interface Last<Result> {
  readonly result: Result
  readonly transactionId: string | undefined
}

/**
 * Transactions of a database library, with our statements in them; see the port for what is promised.
 *
 * The library hides the tag of COMMIT, so the last statement is ours: in a transaction that a failed statement has
 * aborted it fails too, and what would have been a silent rollback is an error.
 */
export class OrmDatabase<Tx extends object> implements Database<Tx> {
  readonly #parts: OrmDatabaseParts<Tx>
  readonly #options: OrmDatabaseOptions
  readonly #open = new WeakMap<Tx, Open>()
  readonly transactions = 'library'
  readonly outside: Queryable

  constructor(parts: OrmDatabaseParts<Tx>, options: OrmDatabaseOptions) {
    this.#parts = parts
    this.#options = options
    this.outside = parts.beside.outside
  }

  async transaction<Result>(work: (tx: Tx) => Promise<Result>, hooks: TransactionHooks<Tx> = {}): Promise<Result> {
    const { source, diagnostics } = this.#parts
    const open: Open = { state: 'open', turn: undefined, lostBy: undefined }
    let last: Last<Result> | undefined
    try {
      await hooks.ahead?.(this.#parts.beside.outside)
      const { result, transactionId } = await source.transaction(async (tx) => {
        this.#open.set(tx, open)
        try {
          last = await this.#work(tx, open, work, hooks)
        } catch (error) {
          // Before the library sends its ROLLBACK: what still waits would be written behind it, and stay.
          open.state = 'ended'
          throw error
        }
        return last
      }, this.#options.idleInTransactionMs)
      diagnostics.emit('transaction.committed', { transactionId })
      return result
    } catch (error) {
      if (last === undefined) throw reasonOf(open, mapOrmError(error, 'A transaction failed'))
      const mapped = mapOrmError(error, 'COMMIT')
      if (!isReplyLost(mapped) || hooks.rerunsWhenUnknown === true) throw mapped
      await resolveLostReply({ diagnostics, outcomeOf: (id) => this.outcomeOf(id) }, last.transactionId, mapped)
      return last.result
    } finally {
      open.state = 'ended'
    }
  }

  async #work<Result>(tx: Tx, open: Open, work: (tx: Tx) => Promise<Result>, hooks: TransactionHooks<Tx>): Promise<Last<Result>> {
    const { lockTimeoutMs, idleInTransactionMs } = this.#options
    await this.#run(tx, open, limitsSql, [String(lockTimeoutMs), String(idleInTransactionMs)])
    const result = await work(tx)
    await hooks.beforeCommit?.(tx)
    const { rows } = await this.#run(tx, open, lastSql, [])
    open.state = 'ended'
    const xid: string | null = rows[0]?.['xid']
    const transactionId = xid === null ? undefined : toTransactionId(String(rows[0]?.['generation']), xid)
    this.#parts.diagnostics.emit('transaction.committing', { transactionId })
    return { result, transactionId }
  }

  outcomeOf(transactionId: string): Promise<TransactionOutcome> {
    return this.#parts.beside.outcomeOf(transactionId)
  }

  checkPlace(tx: Tx): void {
    if (this.#open.get(tx)?.state === 'ended') throw ended()
  }

  /** They are not shared: each is a whole. */
  wholeOf(tx: Tx): Tx | undefined {
    return this.#open.get(tx)?.state === 'open' ? tx : undefined
  }

  owns(tx: unknown): boolean {
    return this.#parts.source.isTransaction(tx)
  }

  queryable(tx: Tx): Queryable {
    const open: Open = this.#open.get(tx) ?? { state: 'open', turn: undefined, lostBy: undefined }
    return { query: (text, values = []) => this.#run(tx, open, text, values) }
  }

  reachable(): Promise<boolean> {
    return this.#parts.beside.reachable()
  }

  /** The library's connections are the user's to close. */
  close(): Promise<void> {
    return this.#parts.beside.close()
  }

  /** Sent before this returns where nothing of ours is under way: what is published in a savepoint belongs inside it. */
  #run(tx: Tx, open: Open, text: string, values: readonly unknown[]): Promise<QueryResult> {
    const send = (): Promise<QueryResult> => this.#send(tx, open, text, values)
    const answer = open.turn === undefined ? send() : open.turn.then(send)
    const turn: Promise<void> = answer.then(
      () => over(),
      () => over(),
    )
    const over = (): void => {
      if (open.turn === turn) open.turn = undefined
    }
    open.turn = turn
    return answer
  }

  async #send(tx: Tx, open: Open, text: string, values: readonly unknown[]): Promise<QueryResult> {
    if (open.state === 'ended') throw ended()
    try {
      const { rows, rowCount } = await this.#parts.source.query(tx, text, values.map(toTextValue))
      // It works again: what had failed stood in a savepoint of the library's.
      open.lostBy = undefined
      return { rows: rows.map(withBuffers), rowCount }
    } catch (error) {
      const mapped = mapOrmError(error, 'A statement failed')
      // Why nothing is run any more is said by what had failed before; any other error speaks for itself.
      if (open.lostBy === undefined || !isTrunklineError(mapped, 'TRANSACTION_LOST')) open.lostBy = mapped
      throw open.lostBy
    }
  }
}

/** Some libraries give bytes as a plain array of them. */
function withBuffers(row: QueryResult['rows'][number]): QueryResult['rows'][number] {
  const entries = Object.entries(row)
  if (!entries.some(([, value]) => value instanceof Uint8Array && !Buffer.isBuffer(value))) return row
  return Object.fromEntries(entries.map(([name, value]) => [name, value instanceof Uint8Array ? Buffer.from(value) : value]))
}

/** What the caller reacts to: a lost connection or a conflict, even where the work wrapped or hid it. */
function reasonOf({ lostBy }: Open, error: unknown): unknown {
  return isTrunklineError(lostBy, 'DATABASE_UNAVAILABLE') || isTrunklineError(lostBy, 'DATABASE_CONFLICT') ? lostBy : error
}

function ended(): PermanentError {
  return new PermanentError(
    'TRANSACTION_ENDED',
    'The transaction has ended, so nothing can be published in it any more. Await everything before the handler or the work function returns.',
  )
}

// A process that freezes in mid-transaction must not hold its locks for ever. The library's connections keep their own
// settings, so ours end with the transaction.
const limitsSql = `
  select set_config('lock_timeout', $1, true) as lock_timeout,
         set_config('idle_in_transaction_session_timeout', $2, true) as idle_timeout`

const lastSql = `select pg_current_xact_id_if_assigned()::text as xid, ${generationSql} as generation`
