/** A command's reply as it was first given, with all that is needed to give it again. */
export interface StoredReply {
  /** Full name and version of the reply's contract. */
  readonly name: string
  readonly version: number
  readonly topic: string
  /** The framed payload. */
  readonly value: Buffer
}

/** What a participant knows of one action of a saga. */
export interface ParticipantRow {
  /** `cancelled`: its compensation came first, so the action is never run. */
  readonly state: 'applied' | 'cancelled'
  /** The action's reply; null on a tombstone. */
  readonly reply: StoredReply | null
  /** The compensation's reply, once it was run. */
  readonly compensationReply: StoredReply | null
}

/**
 * Remembers what was done for sagas, in the participant's own database and in its handler's transaction.
 *
 * The row of an action is locked from `enter` to the end of the transaction: an action and its compensation that
 * arrive at once take turns.
 */
export interface ParticipantStore<Tx> {
  /**
   * Inserts the row of an action in that state, or locks the one that is there.
   *
   * @returns `undefined` when the row is new, else what it says
   */
  enter(tx: Tx, actionId: string, state: ParticipantRow['state']): Promise<ParticipantRow | undefined>

  /** Keeps a reply in a row that this transaction has entered. */
  keepReply(tx: Tx, actionId: string, which: 'action' | 'compensation', reply: StoredReply): Promise<void>
}
