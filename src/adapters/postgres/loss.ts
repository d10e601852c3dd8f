import type { ConflictError, PermanentError } from '../../foundation/errors.ts'

/** Why a transaction is lost: PostgreSQL would answer COMMIT with a silent rollback, or keep what nobody can vouch for. */
export class Loss {
  #error: unknown
  #depth = 0
  #forGood: PermanentError | ConflictError | undefined

  /** Otherwise each statement would be a transaction of its own. */
  begun = true

  /** `undefined` while it is not lost. */
  get reason(): unknown {
    return this.#forGood ?? this.#error
  }

  /** @param depth of savepoints in which the statement stood that failed: what came beside one is not made good with it */
  byStatement(error: unknown, depth: number): void {
    if (this.#error !== undefined && depth >= this.#depth) return
    this.#error = error
    this.#depth = depth
  }

  notBegun(error: unknown): unknown {
    this.begun = false
    this.byStatement(error, 0)
    return error
  }

  /** By work that got beside a savepoint, or a server that forgot a statement: no rollback to a savepoint makes that good. */
  forGood(error: PermanentError | ConflictError): PermanentError | ConflictError {
    this.#forGood ??= error
    return this.#forGood
  }

  /** A savepoint was rolled back: what failed inside is as if it had never been. */
  undone(depth: number): void {
    if (this.#depth >= depth) this.#error = undefined
  }
}
