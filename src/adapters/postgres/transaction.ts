import { AsyncLocalStorage } from 'node:async_hooks'
import type { PoolClient, QueryConfig } from 'pg'
import type { Queryable, QueryResult, Transaction, TransactionHooks } from '../../core/database/database.ts'
import { TrunklineError } from '../../foundation/errors.ts'
import { codeOf, isFromServer, mapDatabaseError, transactionLost } from './errors.ts'
import { Loss } from './loss.ts'
import { OneSync } from './one-sync.ts'
import type { StatementAnswer } from './pending-answer.ts'
import type { PreparedStatements } from './prepared-statements.ts'
import { refuseControl } from './refuse-control.ts'
import { isUndone, nameOf, type Savepoint } from './savepoint.ts'
import { statement, toResult } from './statement.ts'
import { connectionIsGone, ended, notPrepared, savepointEnded, savepointOpen, savepointStillOpen } from './transaction-errors.ts'
import { type Face, TransactionFace } from './transaction-face.ts'
import { numberSql, TransactionNumber } from './transaction-number.ts'
import type { Wakefulness } from './wakefulness.ts'

/** What the transactions of a database share. */
export interface OpenTransactionParts {
  readonly prepared: PreparedStatements
  readonly wakefulness: Wakefulness
}

/**
 * One open transaction on one connection, and the face of it that handlers get.
 *
 * It can be revoked: after `close` every use is an error, whoever still holds it.
 */
export class OpenTransaction {
  readonly sender: OneSync
  readonly #hooks: TransactionHooks<Transaction>
  readonly #parts: OpenTransactionParts
  readonly #pending = new Set<Promise<unknown>>()
  #open = true
  readonly #loss = new Loss()
  #innermost: Savepoint | undefined
  /** In which savepoint the running code stands; made with the first one. */
  #places: AsyncLocalStorage<Savepoint> | undefined
  /** Pieces of work that have not said that they ended. */
  #openParts = 0
  readonly #number: TransactionNumber
  readonly face: Face
  /** Sends statements in front of BEGIN, which commit by themselves; nothing after it. */
  readonly ahead: Queryable

  constructor(client: PoolClient, hooks: TransactionHooks<Transaction>, parts: OpenTransactionParts) {
    this.sender = new OneSync(client)
    this.#hooks = hooks
    this.#parts = parts
    // Without pipelining each question would be a round trip.
    this.#number = new TransactionNumber(() => this.#numberBeside(), client.pipeline && hooks.rerunsWhenUnknown !== true)
    this.face = new TransactionFace(
      (text, values = []) => this.#heard(this.#userQuery(text, values)),
      (work) => this.#heard(this.savepoint(work, this.face)),
    ) as Face
    this.ahead = { query: (text, values = [], often) => this.#queryAhead(text, values, often) }
  }

  /** The transaction's number on the server, where a statement of the work has written and the server has told it. */
  get number(): string | undefined {
    return this.#number.known
  }

  /** The error that lost the transaction: Postgres would answer COMMIT with a silent rollback. */
  get lostBy(): unknown {
    return this.#loss.reason
  }

  /** Asked when the work has returned. @throws the error that lost the transaction */
  refuseIfLost(): void {
    if (this.#innermost !== undefined) this.#loss.forGood(savepointStillOpen())
    if (this.lostBy !== undefined) throw this.lostBy
  }

  /** Whether a statement or a piece of the work still runs. */
  get busy(): boolean {
    return this.#pending.size > 0 || this.#openParts > 0
  }

  /** Whether one runs that may last: then nobody else can use the connection. BEGIN is over soon. */
  get occupied(): boolean {
    return this.#pending.size > (this.sender.isBegun ? 0 : 1) || this.#openParts > 0
  }

  beginPart(): void {
    this.#openParts++
  }

  endPart(): void {
    this.#openParts--
  }

  /** Resolves when the statements that run now have ended. */
  async settledOnce(): Promise<void> {
    await Promise.allSettled(this.#pending)
  }

  /** Statements that the work started and did not wait for; their failure counts too. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
    await this.#number.settled()
  }

  /** @param leaves when what was to be sent leaves: COMMIT may follow in the same write, or nothing does */
  close(leaves: 'with what follows' | 'now'): void {
    this.#open = false
    if (leaves === 'now') this.sender.flush()
  }

  /**
   * Whether what the caller does now would be kept and undone together with what surrounds it.
   * @throws PermanentError `SAVEPOINT_OPEN`, `SAVEPOINT_ENDED`: it stands beside the innermost savepoint
   */
  checkPlace(): void {
    if (!this.#open) throw ended()
    const place = this.#places?.getStore()
    const over = place !== undefined && place.state !== 'open'
    if (place === this.#innermost && !over) return
    // What was undone may go on running for a while; it is refused, and the rest is as if it had never been.
    if (place !== undefined && isUndone(place)) throw savepointEnded()
    throw this.#loss.forGood(over ? savepointEnded() : savepointOpen())
  }

  /** Not awaited, it must not end the process when it fails: the transaction is lost by it, and says why. */
  #heard<Result>(answer: Promise<Result>): Promise<Result> {
    if (this.#open) answer.catch(() => undefined)
    return answer
  }

  #userQuery(text: string, values: readonly unknown[]): Promise<QueryResult> {
    const refused = refuseControl(text)
    return refused === undefined ? this.runUsers(text, values) : Promise.reject(refused)
  }

  /**
   * Runs a statement of the user's. One that is sent often gets a name, if the caller runs the work again where the
   * server does not know it: nobody else should have to hear of that.
   */
  runUsers(text: string, values: readonly unknown[]): Promise<QueryResult> {
    return this.run(text, values, this.#hooks.rerunsWhenUnknown === true ? 'perhaps' : undefined)
  }

  async #queryAhead(text: string, values: readonly unknown[], often: 'often' | undefined): Promise<QueryResult> {
    const name = this.#nameOf(text, often)
    try {
      return toResult(await this.sender.sendAhead(statement(text, values, name)))
    } catch (error) {
      if (name !== undefined && this.#parts.prepared.isRefusal(error, text)) throw notPrepared(error)
      throw mapDatabaseError(error, 'A statement failed')
    }
  }

  /** Sends BEGIN; the first statement of the work leaves with it. */
  async begin(): Promise<void> {
    await this.#run('begin isolation level read committed').catch((error: unknown) => {
      throw this.#loss.notBegun(error)
    })
  }

  /** Runs a statement of the work, or of the spine. */
  run(text: string, values: readonly unknown[], often?: 'often' | 'perhaps'): Promise<QueryResult> {
    try {
      this.checkPlace()
    } catch (error) {
      return Promise.reject(error)
    }
    const answer = this.#run(text, values, often)
    this.#number.askBeside()
    return answer
  }

  async #numberBeside(): Promise<string | undefined> {
    const name = this.#nameOf(numberSql, 'often')
    // Where the statement before it failed, it fails too, and what counts is why that one did.
    const asked = this.send(statement(numberSql, [], name)).catch((error: unknown) => void this.#failed(error, numberSql, name))
    return (await asked)?.rows[0]?.number ?? undefined
  }

  /** @returns the transaction's number; `undefined` when it has written nothing yet */
  async askNumber(): Promise<string | undefined> {
    return (await this.#run(numberSql)).rows[0]?.['number'] ?? undefined
  }

  #run(text: string, values: readonly unknown[] = [], often?: 'often' | 'perhaps'): Promise<QueryResult> {
    // Also for the end of a savepoint: by then the connection may be somebody else's.
    if (!this.#open) return Promise.reject(ended())
    if (!this.#loss.begun) return Promise.reject(transactionLost('A statement failed', this.lostBy))
    const name = this.#nameOf(text, often)
    const depth = this.#innermost?.depth
    const sent = this.send(statement(text, values, name))
    const answered = this.#await(sent, often === 'perhaps')
    return sent.then(
      (result) => {
        answered()
        return toResult(result)
      },
      (error: unknown) => {
        answered()
        throw this.#failed(error, text, name, depth)
      },
    )
  }

  /** @returns what to call when the answer is there */
  #await(sent: Promise<unknown>, isHandlers: boolean): () => void {
    this.#pending.add(sent)
    if (isHandlers) this.#parts.wakefulness.sent()
    return () => {
      this.#pending.delete(sent)
      if (isHandlers) this.#parts.wakefulness.answered()
    }
  }

  #nameOf(text: string, often: 'often' | 'perhaps' | undefined): string | undefined {
    return this.#parts.prepared.nameFor(text, often, this.#hooks.rerunsWhenUnknown === true)
  }

  /** @returns what the sender hears; by then the transaction is lost */
  #failed(error: unknown, text: string, name: string | undefined, depth = 0): unknown {
    // In a lost transaction nothing is prepared, so its next use is unknown to the server: that says nothing about names.
    if (name !== undefined && this.lostBy !== undefined && codeOf(error) === '26000') return transactionLost('A statement failed', error)
    if (name !== undefined && this.#parts.prepared.isRefusal(error, text)) {
      // Work that catches it must not take it for an answer about its data.
      this.#loss.forGood(notPrepared(error))
      return notPrepared(error)
    }
    const mapped = mapDatabaseError(error, 'A statement failed')
    const isUnwritable = mapped === error && !isFromServer(error) && !(error instanceof TrunklineError)
    if (name !== undefined && isUnwritable && this.sender.closesUnwritable) this.#parts.prepared.neverName(text)
    this.#loss.byStatement(mapped, depth)
    return mapped
  }

  /** Statements reach the server in the order of the calls. */
  send(query: QueryConfig): Promise<StatementAnswer> {
    return this.sender.send(query)
  }

  /** @param face of the work that asks: what it published inside goes with a rollback */
  async savepoint<Result>(work: () => Promise<Result>, face: Transaction, ends: Savepoint['ends'] = 'awaited'): Promise<Result> {
    this.checkPlace()
    if (this.lostBy !== undefined) throw transactionLost('A savepoint was not set', this.lostBy)
    const outer = this.#innermost
    const savepoint: Savepoint = { depth: (outer?.depth ?? 0) + 1, outer, ends, state: 'open', set: Promise.resolve(false) }
    const undo = this.#hooks.onSavepoint?.(face)
    this.#places ??= new AsyncLocalStorage()
    // Before the first wait: whatever comes beside it from now on is refused.
    this.#innermost = savepoint
    try {
      // Not awaited: the first statements of the work leave with it.
      savepoint.set = this.#run(`savepoint ${nameOf(savepoint)}`).then(
        () => true,
        () => false,
      )
      return await this.#inside(savepoint, this.#places, work)
    } catch (error) {
      savepoint.state = 'undone'
      undo?.()
      throw error
    } finally {
      if (this.#innermost === savepoint) this.#innermost = outer
    }
  }

  async #inside<Result>(savepoint: Savepoint, places: AsyncLocalStorage<Savepoint>, work: () => Promise<Result>): Promise<Result> {
    try {
      const result = await places.run(savepoint, async () => await work())
      this.#refuseOpenInside(savepoint)
      if (this.lostBy !== undefined) throw this.lostBy
      savepoint.state = 'kept'
      await this.#end(savepoint, 'release')
      return result
    } catch (error) {
      savepoint.state = 'undone'
      this.#refuseOpenInside(savepoint)
      await this.settled()
      // Where it was never set, the transaction had been lost before: there is nothing to go back to.
      if (connectionIsGone(this.lostBy) || !(await savepoint.set)) throw this.lostBy
      this.#loss.undone(savepoint.depth)
      await this.#end(savepoint, 'rollback to')
      throw error
    }
  }

  /** Not among what is waited for before COMMIT, which it may leave with. A failure loses the transaction, as any. */
  async #end(savepoint: Savepoint, how: 'release' | 'rollback to'): Promise<void> {
    if (!this.#open) throw ended()
    const text = `${how} savepoint ${nameOf(savepoint)}`
    const sent = this.send(statement(text)).catch((error: unknown) => {
      throw this.#failed(error, text, undefined)
    })
    sent.catch(() => undefined)
    if (savepoint.ends === 'awaited') await sent
  }

  /** Its end would also end a savepoint inside whose work is still running. */
  #refuseOpenInside(savepoint: Savepoint): void {
    if (this.#innermost !== savepoint) this.#loss.forGood(savepointStillOpen())
  }
}
