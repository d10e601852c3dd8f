import type { QueryResult, Transaction, TransactionPart } from '../../core/database/database.ts'
import { isTrunklineError } from '../../foundation/errors.ts'
import { withCallSite } from './call-site.ts'
import { refuseControl } from './refuse-control.ts'
import type { OpenTransaction } from './transaction.ts'
import { ended } from './transaction-errors.ts'
import { type Face, TransactionFace } from './transaction-face.ts'

/**
 * One piece of work inside an open transaction, with a face of its own.
 *
 * It knows which statements are the piece's, so that a failure is charged to whom it belongs, and nothing of the piece
 * can slip in after its end.
 */
export class OpenPart implements TransactionPart<Transaction> {
  readonly #transaction: OpenTransaction
  readonly #traces: boolean
  #open = true
  #running = 0
  #lostBy: unknown
  readonly #onEnd: (face: Face) => void
  readonly tx: Face
  /** The whole knows it; what a piece publishes is written by the whole. */
  readonly number = undefined

  /**
   * @param traces whether a statement that fails shall say from where it was sent
   * @param onEnd called with the face when nothing can be done with it any more
   */
  constructor(transaction: OpenTransaction, traces: boolean, onEnd: (face: Face) => void) {
    this.#transaction = transaction
    this.#traces = traces
    this.#onEnd = onEnd
    this.tx = new TransactionFace(
      (text, values = []) => this.#heard(this.#userQuery(text, values)),
      (work) => this.#heard(this.#savepoint(work)),
    ) as Face
  }

  get whole(): Transaction {
    return this.#transaction.face
  }

  get spoiled(): boolean {
    return isTrunklineError(this.#lostBy, 'TRANSACTION_LOST')
  }

  end(): Promise<void> {
    this.#open = false
    return this.#running > 0 ? this.#endWhenAnswered() : this.#ended()
  }

  async #endWhenAnswered(): Promise<void> {
    while (this.#running > 0) await this.#transaction.settledOnce()
    await this.#ended()
  }

  #ended(): Promise<void> {
    this.#transaction.endPart()
    this.#onEnd(this.tx)
    return this.#lostBy === undefined ? Promise.resolve() : Promise.reject(this.#lostBy)
  }

  run(text: string, values: readonly unknown[], often?: 'often'): Promise<QueryResult> {
    return this.#runs(() => this.#transaction.run(text, values, often))
  }

  #runs(send: () => Promise<QueryResult>): Promise<QueryResult> {
    if (!this.#open) return Promise.reject(ended())
    this.#running++
    return send().then(this.#ran, this.#failed)
  }

  checkPlace(): void {
    if (!this.#open) throw ended()
    this.#transaction.checkPlace()
  }

  readonly #ran = (result: QueryResult): QueryResult => {
    this.#running--
    return result
  }

  readonly #failed = (error: unknown): never => {
    this.#running--
    this.#lostBy ??= error
    throw error
  }

  #userQuery(text: string, values: readonly unknown[]): Promise<QueryResult> {
    const refused = refuseControl(text)
    if (refused !== undefined) return Promise.reject(refused)
    const answer = this.#runs(() => this.#transaction.runUsers(text, values))
    return this.#traces ? withCallSite(answer, new Error('sent')) : answer
  }

  async #savepoint<Result>(work: () => Promise<Result>): Promise<Result> {
    if (!this.#open) throw ended()
    try {
      return await this.#transaction.savepoint(work, this.tx)
    } catch (error) {
      // What failed inside was undone with it.
      const { lostBy } = this.#transaction
      this.#lostBy = lostBy !== undefined && isTrunklineError(error, 'TRANSACTION_LOST') ? error : lostBy
      throw error
    }
  }

  /** Not awaited, it must not end the process when it fails: the transaction is lost by it, and says why. */
  #heard<Result>(answer: Promise<Result>): Promise<Result> {
    if (this.#open) answer.catch(() => undefined)
    return answer
  }
}
