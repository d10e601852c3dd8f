import type { QueryResult, Transaction } from '../../core/database/database.ts'

/** As users see it: its brand is in the types alone. */
export type Face = TransactionFace & Transaction

/** What stands behind a face while it can be used, and after. */
export interface Behind {
  /** The transaction's on the server, where that is known. */
  readonly number: string | undefined
  run(text: string, values: readonly unknown[], often?: 'often'): Promise<QueryResult>
  /** See `Database.checkPlace`. */
  checkPlace(): void
}

/**
 * What users get of a transaction, or of a piece of one.
 *
 * It knows itself what stands behind it, and whose it is: each message has one, and to find that by a WeakMap takes 0.5 µs
 * and keeps V8's minor collections busy.
 */
export class TransactionFace {
  readonly query: (text: string, values?: readonly unknown[]) => Promise<QueryResult>
  readonly savepoint: <Result>(work: () => Promise<Result>) => Promise<Result>
  #database: object | undefined
  #behind: Behind | undefined

  /** Both can be taken out of it. */
  constructor(query: TransactionFace['query'], savepoint: TransactionFace['savepoint']) {
    this.query = query
    this.savepoint = savepoint
    Object.freeze(this)
  }

  /** Says whose it is, and what stands behind it from now on. */
  static put(face: TransactionFace, database: object, behind: Behind): void {
    face.#database = database
    face.#behind = behind
  }

  /** @returns `undefined` for whatever is no face of this database */
  static behind(face: unknown, database: object): Behind | undefined {
    return isObject(face) && #behind in face && face.#database === database ? face.#behind : undefined
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
