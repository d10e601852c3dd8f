/** One kept message of one group. */
export interface FailureReference {
  readonly group: string
  /** Its inbox id, which it keeps through every act. */
  readonly id: string
}

/** Where a kept message stands. */
export interface FailureState extends FailureReference {
  readonly state: 'waiting' | 'dead' | 'discarded'
  /** Recorded failures since it was parked, or put back. */
  readonly attempts: number
  /** Of its last failure. */
  readonly fingerprint: string | null
}

/** What people do with kept messages. Each act is one key's, in a transaction of its own, and is told to the audit there. */
export interface FailureStore<Tx> {
  /**
   * Puts a message back: it waits at its old place in its key's queue, its attempts begin anew, and its key is due.
   *
   * It never goes through the topic, where other groups would see it again.
   *
   * @returns what it was before; `undefined` when it is not kept any more, or was discarded
   */
  redrive(tx: Tx, failure: FailureReference): Promise<FailureState | undefined>

  /**
   * Takes a message out for good: it counts as settled, and its key's later messages go on.
   *
   * @returns what it was before; `undefined` when it is not kept any more, or was discarded before
   */
  discard(tx: Tx, failure: FailureReference): Promise<FailureState | undefined>

  /**
   * Takes a discard back: the message is dead again, and holds its key if it did. What ran meanwhile has run.
   *
   * @returns what it was before; `undefined` when it was not discarded, or so long ago that it is gone
   */
  restore(tx: Tx, failure: FailureReference): Promise<FailureState | undefined>

  /** @returns those of them that are still kept */
  look(failures: readonly FailureReference[]): Promise<readonly FailureState[]>
}
