import type { QueryResult as DriverResult, PoolClient, QueryConfig } from 'pg'
import type { QueryResult, Transaction, TransactionHooks } from '../../core/database/database.ts'
import { PermanentError } from '../../foundation/errors.ts'
import { codeOf, mapDatabaseError } from './errors.ts'

/** Statements that would end, split or reconfigure the transaction behind our back. */
const control =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|;)*(begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|set|reset|discard)\b/i

/**
 * One open transaction on one connection, and the face of it that handlers get.
 *
 * It can be revoked: after `close` every use is an error, whoever still holds it.
 */
export class OpenTransaction {
  readonly #client: PoolClient
  readonly #hooks: TransactionHooks<Transaction>
  readonly #pending = new Set<Promise<unknown>>()
  #open = true
  #lostBy: unknown
  #depth = 0
  readonly face: Transaction

  constructor(client: PoolClient, hooks: TransactionHooks<Transaction>) {
    this.#client = client
    this.#hooks = hooks
    const face = {
      query: (text: string, values?: readonly unknown[]) => this.#userQuery(text, values),
      savepoint: <Result>(work: () => Promise<Result>) => this.#savepoint(work),
    }
    this.face = Object.freeze(face) as unknown as Transaction
  }

  /** The error that lost the transaction: Postgres would answer COMMIT with a silent rollback. */
  get lostBy(): unknown {
    return this.#lostBy
  }

  /** Whether a statement is still running: then the connection cannot be used by anybody else. */
  get busy(): boolean {
    return this.#pending.size > 0
  }

  /** Statements that the work started and did not wait for; their failure counts too. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
  }

  close(): void {
    this.#open = false
  }

  async #userQuery(text: string, values: readonly unknown[] = []): Promise<QueryResult> {
    const refused = control.exec(text)
    if (refused) {
      throw new PermanentError(
        'TRANSACTION_CONTROL_REFUSED',
        `"${(refused[1] ?? '').toLowerCase()}" cannot be sent through a Trunkline transaction: its end belongs to the backbone. ` +
          'Throw an error to roll back, return to commit, and use tx.savepoint(fn) for a part that may fail.',
      )
    }
    return this.run(text, values)
  }

  /** Runs a statement of the work, or of the spine. */
  async run(text: string, values: readonly unknown[]): Promise<QueryResult> {
    if (!this.#open) throw ended()
    const sent = this.#client.query(statement(text, values))
    this.#pending.add(sent)
    try {
      return toResult(await sent)
    } catch (error) {
      const mapped = mapDatabaseError(error, 'A statement failed')
      this.#lostBy ??= mapped
      throw mapped
    } finally {
      this.#pending.delete(sent)
    }
  }

  async #savepoint<Result>(work: () => Promise<Result>): Promise<Result> {
    const name = `trunkline_${++this.#depth}`
    const undo = this.#hooks.onSavepoint?.(this.face)
    await this.run(`savepoint ${name}`, [])
    try {
      const result = await work()
      if (this.#lostBy !== undefined) throw this.#lostBy
      await this.run(`release savepoint ${name}`, [])
      return result
    } catch (error) {
      await this.#rollbackTo(name)
      undo?.()
      throw error
    } finally {
      this.#depth--
    }
  }

  async #rollbackTo(name: string): Promise<void> {
    await this.settled()
    if (connectionIsGone(this.#lostBy)) throw this.#lostBy
    this.#lostBy = undefined
    await this.run(`rollback to savepoint ${name}`, [])
  }
}

/** The extended protocol takes one statement at a time, so "select 1; commit" is an error of the server. */
export function statement(text: string, values: readonly unknown[] = []): QueryConfig & { queryMode: 'extended' } {
  return { text, values: [...values], queryMode: 'extended' }
}

function connectionIsGone(error: unknown): boolean {
  return codeOf(error) === 'DATABASE_UNAVAILABLE'
}

function toResult(result: DriverResult): QueryResult {
  return { rows: result.rows, rowCount: result.rowCount ?? 0 }
}

function ended(): PermanentError {
  return new PermanentError(
    'TRANSACTION_ENDED',
    'The transaction has ended, so nothing can be done in it any more. Await every statement before the handler or the work function returns.',
  )
}
