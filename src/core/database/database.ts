/** What a statement gave. `rowCount` is the server's own count of rows it touched. */
export interface QueryResult {
  // biome-ignore lint/suspicious/noExplicitAny: rows have the shape of the user's own SQL, which TypeScript cannot see
  readonly rows: readonly Record<string, any>[]
  readonly rowCount: number
}

/** Runs SQL with `$1`-style parameters; never text built from values. */
export interface Queryable {
  /** @param often whether the statement is sent so often that the server should keep its plan, where that can be done; one plan must do for every size of its tables */
  query(text: string, values?: readonly unknown[], often?: 'often'): Promise<QueryResult>
}

declare const brand: unique symbol

/**
 * A transaction of ours, alive until its work ends; using it later is an error.
 *
 * A statement that fails loses the whole transaction, even when the error was caught: Postgres would turn its
 * COMMIT into a rollback without saying so. Only inside {@link Transaction.savepoint} may a statement fail and the rest go on.
 */
export interface Transaction extends Queryable {
  readonly [brand]: 'trunkline.transaction'

  /**
   * Runs `work` so that its failure undoes only its own statements, and what was published inside.
   *
   * While it runs, nothing may be done in the transaction beside it: a rollback would undo that too, unseen.
   *
   * @throws PermanentError `SAVEPOINT_OPEN`: it, or something else, came beside an open savepoint; the transaction is lost
   * @throws whatever `work` threw, after the rollback to the savepoint; the transaction goes on
   */
  savepoint<Result>(work: () => Promise<Result>): Promise<Result>
}

/** What the spine does around the user's work; all of it inside the same transaction. */
export interface TransactionHooks<Tx> {
  /**
   * A statement that is committed by itself before the work: where the transactions are our own it leaves in front of BEGIN,
   * in one write with it, so that it is decided when the first statement of the work is answered. Where it fails, nothing is
   * kept; the work can begin all the same.
   */
  ahead?(alone: Queryable): Promise<unknown>
  /**
   * The last statements before COMMIT.
   *
   * @returns the transaction's number on the server when a statement gave it, so that a lost COMMIT reply can be resolved
   */
  beforeCommit?(tx: Tx): Promise<string | undefined>
  /**
   * Whether the last statements wait for something before they are sent, if only for the answer of another statement:
   * then COMMIT waits for them. Sent before them it would commit the work without them.
   */
  lastWaits?(tx: Tx): boolean
  /** Called when a savepoint is set. @returns what to do if it is rolled back */
  onSavepoint?(tx: Tx): () => void
  /**
   * The caller runs the whole work again when it does not know the outcome, and that changes nothing. Then the last
   * statements and COMMIT leave in one write, and a lost reply is a `TransientError`.
   */
  readonly rerunsWhenUnknown?: boolean
}

/** One of several pieces of work inside one transaction: a message of a batch. */
export interface TransactionPart<Tx> {
  /** The transaction as this piece sees it; an error to use after {@link TransactionPart.end}. */
  readonly tx: Tx
  /** Whether it failed only because another piece had lost the transaction before. */
  readonly spoiled: boolean

  /**
   * Ends the piece: waits for statements that its work did not wait for.
   *
   * @throws the error by which a statement of it lost the transaction, even if the work caught it
   */
  end(): Promise<void>
}

/** What became of a transaction whose COMMIT went unanswered. */
export type TransactionOutcome = 'committed' | 'aborted' | 'unknown'

/**
 * Opens transactions in the database where effects, inbox and outbox live.
 *
 * `Tx` is what handlers and publishers get: our {@link Transaction}, or the transaction of an ORM.
 */
export interface Database<Tx> {
  /**
   * Whose the transactions are. In our `own` each statement and savepoint passes through us, so that what is published
   * may wait for the end and leave with COMMIT. In those of a `library` it is inserted at once, or a savepoint that
   * we do not see could not undo it.
   */
  readonly transactions: 'own' | 'library'

  /**
   * Runs `work` in one transaction, read committed, and commits it.
   *
   * @returns what `work` returned, after a COMMIT that the server confirmed as a commit
   * @throws whatever `work` threw, rolled back
   * @throws TransientError the database is unreachable, or the COMMIT is known to have been undone; nothing was changed
   * @throws ConflictError another transaction was first (40001, 40P01, 55P03); rolled back, run it again
   * @throws UnknownOutcomeError the reply to COMMIT was lost and the server could not be asked; see {@link Database.outcomeOf}
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>, hooks?: TransactionHooks<Tx>): Promise<Result>

  /**
   * Asked before something is noted for the transaction outside the database: it must be undone with the right savepoint.
   *
   * @throws PermanentError `SAVEPOINT_OPEN`: the caller stands beside an open savepoint; the transaction is lost
   */
  checkPlace(tx: Tx): void

  /**
   * Begins a piece of work inside a transaction, so that what it does can be told from what others do there.
   *
   * Absent where a transaction cannot be shared: then each message has one of its own.
   *
   * @param traces whether the error of a statement shall name who sent it; that costs each statement some microseconds
   */
  part?(tx: Tx, traces?: boolean): TransactionPart<Tx>

  /**
   * As {@link Transaction.savepoint}, with everything that parts do inside. Present where `part` is.
   *
   * What follows leaves with its end, so it resolves when the work has: that its end failed, what follows is told.
   */
  savepoint?<Result>(tx: Tx, work: () => Promise<Result>): Promise<Result>

  /** @returns the transaction that a piece belongs to, itself for a whole one; `undefined` for what has ended, and for a caller's own */
  wholeOf(tx: Tx): Tx | undefined

  /** The transaction's number on the server. @returns `undefined` where it is not known yet, or would have to be asked for */
  numberOf?(tx: Tx): string | undefined

  /** Whether it is a transaction that may be published in: of this database, open or ended, or a caller's own. */
  owns(tx: unknown): boolean

  /** Our own statements inside the user's transaction. */
  queryable(tx: Tx): Queryable

  /** Single statements outside any transaction. @throws TransientError the database is unreachable */
  readonly outside: Queryable

  /**
   * Asks the server what became of the transaction that an `UnknownOutcomeError` names.
   *
   * @returns `committed` only while the server is the one that ran it and has not crashed since: a crash may give the id to another
   */
  outcomeOf(transactionId: string): Promise<TransactionOutcome>

  /** Whether the primary answers within two seconds. */
  reachable(): Promise<boolean>

  close(): Promise<void>
}
