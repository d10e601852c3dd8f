/** The id of a message for a group, and where it is kept. */
export interface InboxClaim {
  readonly id: string
  /** The message's own time, in milliseconds since 1970; 0 for one that has none. See `slotOf`. */
  readonly slot: number
}

/** The ids that a group has settled: applied, parked, dead or discarded. */
export interface InboxStore<Tx> {
  /**
   * Claims ids for a group inside the effect transaction.
   *
   * @returns those that are new; an id that is missing from the answer is settled and must be skipped
   */
  claim(tx: Tx, group: string, claims: readonly InboxClaim[]): Promise<ReadonlySet<string>>
}

/** What keeps the inbox from growing without end. */
export interface InboxUpkeep {
  /**
   * Makes room for the days around now, and forgets what was handled longer ago than `keepMs`: at once, a day of the
   * messages' own time, where that is past too, and row by row what has no such time, one far from now, or was handled
   * long after it.
   *
   * A day is emptied where it stands and then taken away, for which the inbox must be free of claims for a moment: while
   * handlers run without a break it waits, empty.
   *
   * @returns what was done; `undefined` when another process is at it
   * @throws TransientError the database is unreachable, or somebody is in the way; what was done before stays
   */
  tend(keepMs: number): Promise<InboxTended | undefined>
}

export interface InboxTended {
  readonly opened: number
  readonly dropped: number
  /** Days that are empty but for a few rows, and could not be dropped: their turn comes again within the hour. */
  readonly waiting: number
  /** Rows of dropped days that were handled so late that they are remembered one by one. */
  readonly moved: number
  /** Rows that were forgotten one by one. */
  readonly pruned: number
}
