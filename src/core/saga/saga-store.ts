import type { SagaInstance } from './transition.ts'

/** An instance as it is kept, with what it is pinned to. */
export interface StoredSaga {
  readonly instance: SagaInstance
  /** The saga's name. */
  readonly saga: string
  readonly definitionVersion: number
  readonly graphHash: string
  /** Counts the inputs, applied and ignored; the last entry of the history has this number. */
  readonly version: number
  /** Of the message that started it; every command carries it. */
  readonly correlationId: string
}

/** A saga's own view of one input, kept for ever: facts, no payload. */
export interface HistoryEntry {
  readonly input: { readonly kind: string; readonly name?: string; readonly commandId?: string; readonly messageId?: string }
  readonly effects: readonly { readonly kind: string; readonly [fact: string]: string | number | null }[]
  readonly status: SagaInstance['status']
}

/** When the timer fires next: `after` counts on the database's clock. */
export type TimerChange = { readonly kind: 'keep' } | { readonly kind: 'clear' } | { readonly kind: 'after'; readonly ms: number }

/** What became of one instance: `saga.version` is what it has now, one more for each entry of `history`. */
export interface SagaChange {
  readonly saga: StoredSaga
  readonly history: readonly HistoryEntry[]
  readonly timer: TimerChange
}

/** A definition that this process can run. */
export interface RunnableSaga {
  readonly name: string
  readonly version: number
}

export interface ClaimedSaga {
  readonly saga: StoredSaga
  /** The timer row fires early when the instance has moved on since; then there is nothing to do. */
  readonly due: boolean
}

/**
 * Keeps saga instances, their history and their timers, inside the caller's transaction.
 *
 * Whoever changes an instance or its timer holds the instance's row lock; rows are locked in ascending order of their ids.
 */
export interface SagaStore<Tx> {
  /**
   * Inserts new instances with their history and timers.
   *
   * @returns the ids that are new; of the others nothing was written
   */
  insert(tx: Tx, starts: readonly SagaChange[]): Promise<ReadonlySet<string>>

  /** Locks and loads. @returns those of that saga which exist, in ascending order of ids */
  lock(tx: Tx, saga: string, ids: readonly string[]): Promise<readonly StoredSaga[]>

  /**
   * Writes what became of locked instances.
   *
   * @throws ConflictError `SAGA_CHANGED`: somebody else wrote in between; the transaction must be rolled back
   */
  save(tx: Tx, changes: readonly SagaChange[]): Promise<void>

  /**
   * Locks and loads instances whose timer row is due, leaving out those that somebody else holds; timer rows of those
   * which turn out not to be due are moved to where they belong.
   */
  claimDue(tx: Tx, runnable: readonly RunnableSaga[], limit: number): Promise<readonly ClaimedSaga[]>

  /** Lets the timers of instances that cannot go on fire again later. */
  postpone(tx: Tx, ids: readonly string[], ms: number): Promise<void>
}
