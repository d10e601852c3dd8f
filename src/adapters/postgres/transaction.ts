import { AsyncLocalStorage } from 'node:async_hooks'
import type { QueryResult as DriverResult, PoolClient, QueryConfig } from 'pg'
import type { QueryResult, Transaction, TransactionHooks } from '../../core/database/database.ts'
import { ConflictError, PermanentError } from '../../foundation/errors.ts'
import { codeOf, mapDatabaseError } from './errors.ts'
import { gatherWrites } from './one-write.ts'
import type { PreparedStatements } from './prepared-statements.ts'

/** Statements that would end, split or reconfigure the transaction behind our back. */
const control =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|;)*(begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|set|reset|discard)\b/i

/** A part of the work that can be undone alone. */
interface Savepoint {
  readonly depth: number
  readonly outer: Savepoint | undefined
  state: 'open' | 'kept' | 'undone'
}

/**
 * One open transaction on one connection, and the face of it that handlers get.
 *
 * It can be revoked: after `close` every use is an error, whoever still holds it.
 */
export class OpenTransaction {
  readonly #client: PoolClient
  readonly #hooks: TransactionHooks<Transaction>
  readonly #prepared: PreparedStatements
  readonly #pending = new Set<Promise<unknown>>()
  #open = true
  #lostBy: unknown
  /** Work that got beside a savepoint: no rollback to a savepoint makes that good. */
  #overlappedBy: PermanentError | undefined
  #innermost: Savepoint | undefined
  /** In which savepoint the running code stands; made with the first one. */
  #places: AsyncLocalStorage<Savepoint> | undefined
  /** Pieces of work that have not said that they ended. */
  #openParts = 0
  /** Without pipelining, a connection has one statement at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  readonly face: Transaction

  constructor(client: PoolClient, hooks: TransactionHooks<Transaction>, prepared: PreparedStatements) {
    this.#client = client
    this.#hooks = hooks
    this.#prepared = prepared
    const face = {
      query: (text: string, values: readonly unknown[] = []) => this.#heard(this.#userQuery(text, values)),
      savepoint: <Result>(work: () => Promise<Result>) => this.#heard(this.savepoint(work, this.face)),
    }
    this.face = Object.freeze(face) as unknown as Transaction
  }

  /** The error that lost the transaction: Postgres would answer COMMIT with a silent rollback. */
  get lostBy(): unknown {
    return this.#overlappedBy ?? this.#lostBy
  }

  /** Asked when the work has returned. @throws the error that lost the transaction */
  refuseIfLost(): void {
    if (this.#innermost !== undefined) this.#overlappedBy ??= stillOpen()
    if (this.lostBy !== undefined) throw this.lostBy
  }

  /** Whether a statement or a piece of the work is still running: then the connection cannot be used by anybody else. */
  get busy(): boolean {
    return this.#pending.size > 0 || this.#openParts > 0
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
  }

  close(): void {
    this.#open = false
  }

  /**
   * Whether what the caller does now would be kept and undone together with what surrounds it.
   *
   * @throws PermanentError `SAVEPOINT_OPEN`, `SAVEPOINT_ENDED`: it stands beside the innermost savepoint
   */
  checkPlace(): void {
    if (!this.#open) throw ended()
    const place = this.#places?.getStore()
    const over = place !== undefined && place.state !== 'open'
    if (place === this.#innermost && !over) return
    // What was undone may go on running for a while; it is refused, and the rest is as if it had never been.
    if (place !== undefined && isUndone(place)) throw savepointEnded()
    this.#overlappedBy ??= over ? savepointEnded() : savepointOpen()
    throw this.#overlappedBy
  }

  /** Not awaited, it must not end the process when it fails: the transaction is lost by it, and says why. */
  #heard<Result>(answer: Promise<Result>): Promise<Result> {
    if (this.#open) answer.catch(() => undefined)
    return answer
  }

  #userQuery(text: string, values: readonly unknown[]): Promise<QueryResult> {
    const refused = refuseControl(text)
    return refused === undefined ? this.run(text, values) : Promise.reject(refused)
  }

  /** Runs a statement of the work, or of the spine. */
  run(text: string, values: readonly unknown[], often?: 'often'): Promise<QueryResult> {
    try {
      this.checkPlace()
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#run(text, values, often)
  }

  #run(text: string, values: readonly unknown[] = [], often?: 'often'): Promise<QueryResult> {
    // Also for the end of a savepoint: by then the connection may be somebody else's.
    if (!this.#open) return Promise.reject(ended())
    const name = often === undefined ? undefined : this.#prepared.nameOf(text)
    const sent = this.send({ ...statement(text, values), ...(name === undefined ? {} : { name }) })
    this.#pending.add(sent)
    return sent.then(
      (result) => {
        this.#pending.delete(sent)
        return toResult(result)
      },
      (error: unknown) => {
        this.#pending.delete(sent)
        const mapped = this.#prepared.isRefusal(error) ? notPrepared(error) : mapDatabaseError(error, 'A statement failed')
        this.#lostBy ??= mapped
        throw mapped
      },
    )
  }

  /** Statements reach the server in the order of the calls, in one write where the connection pipelines. */
  send(query: QueryConfig): Promise<DriverResult> {
    if (this.#client.pipeline) {
      gatherWrites(this.#client)
      return this.#client.query(query)
    }
    const answer = this.#turn.then(() => this.#client.query(query))
    this.#turn = answer.catch(() => undefined)
    return answer
  }

  /** @param face of the work that asks: what it published inside goes with a rollback */
  async savepoint<Result>(work: () => Promise<Result>, face: Transaction): Promise<Result> {
    this.checkPlace()
    const outer = this.#innermost
    const savepoint: Savepoint = { depth: (outer?.depth ?? 0) + 1, outer, state: 'open' }
    const undo = this.#hooks.onSavepoint?.(face)
    this.#places ??= new AsyncLocalStorage()
    // Before the first wait: whatever comes beside it from now on is refused.
    this.#innermost = savepoint
    try {
      await this.#run(`savepoint ${nameOf(savepoint)}`)
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
      await this.#run(`release savepoint ${nameOf(savepoint)}`)
      return result
    } catch (error) {
      savepoint.state = 'undone'
      this.#refuseOpenInside(savepoint)
      await this.settled()
      if (connectionIsGone(this.#lostBy)) throw this.#lostBy
      this.#lostBy = undefined
      await this.#run(`rollback to savepoint ${nameOf(savepoint)}`)
      throw error
    }
  }

  /** Its end would also end a savepoint inside whose work is still running. */
  #refuseOpenInside(savepoint: Savepoint): void {
    if (this.#innermost !== savepoint) this.#overlappedBy ??= stillOpen()
  }
}

/** @returns why a statement of the user's is not sent; `undefined` for one that may be */
export function refuseControl(text: string): PermanentError | undefined {
  const refused = control.exec(text)
  if (refused === null) return undefined
  return new PermanentError(
    'TRANSACTION_CONTROL_REFUSED',
    `"${(refused[1] ?? '').toLowerCase()}" cannot be sent through a Trunkline transaction: its end belongs to the backbone. ` +
      'Throw an error to roll back, return to commit, and use tx.savepoint(fn) for a part that may fail.',
  )
}

function nameOf({ depth }: Savepoint): string {
  return `trunkline_${depth}`
}

function isUndone(savepoint: Savepoint): boolean {
  return savepoint.state === 'undone' || (savepoint.outer !== undefined && isUndone(savepoint.outer))
}

/** The extended protocol takes one statement at a time, so "select 1; commit" is an error of the server. */
export function statement(text: string, values: readonly unknown[] = []): QueryConfig & { queryMode: 'extended' } {
  return { text, values: [...values], queryMode: 'extended' }
}

/** Behind a transaction pooler the server may not know what another one was told. It happens once: from then on nothing is prepared. */
function notPrepared(error: unknown): ConflictError {
  const message =
    'A statement that was prepared is not known to this server, as behind a transaction pooler. From now on none is prepared. Run the transaction again.'
  return new ConflictError('DATABASE_CONFLICT', message, { sqlState: codeOf(error) }, error)
}

function connectionIsGone(error: unknown): boolean {
  return codeOf(error) === 'DATABASE_UNAVAILABLE'
}

function toResult(result: DriverResult): QueryResult {
  return { rows: result.rows, rowCount: result.rowCount ?? 0 }
}

export function ended(): PermanentError {
  return new PermanentError(
    'TRANSACTION_ENDED',
    'The transaction has ended, so nothing can be done in it any more. Await every statement before the handler or the work function returns.',
  )
}

function savepointOpen(): PermanentError {
  return new PermanentError(
    'SAVEPOINT_OPEN',
    'A statement, a message or a savepoint came beside an open savepoint, whose rollback would undo it unseen; the transaction is lost. ' +
      'Await tx.savepoint(fn) before you go on, and do inside fn what belongs to it.',
  )
}

function savepointEnded(): PermanentError {
  return new PermanentError(
    'SAVEPOINT_ENDED',
    'A statement, a message or a savepoint came out of the work of a savepoint that has ended. ' +
      'Await everything inside tx.savepoint(fn) before fn returns.',
  )
}

function stillOpen(): PermanentError {
  return new PermanentError(
    'SAVEPOINT_OPEN',
    'The work returned while a savepoint of it was open, so nobody knows what belongs to the transaction; it was rolled back. ' +
      'Await tx.savepoint(fn) before the handler or the work function returns.',
  )
}
