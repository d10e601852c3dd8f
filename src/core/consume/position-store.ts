/** One partition as one group reads it. */
export interface GroupPartition {
  readonly group: string
  readonly topic: string
  readonly partition: number
}

/** Where a group stands, and the epoch under which the asking member may move it. */
export interface Position {
  readonly epoch: bigint
  readonly nextOffset: bigint
  readonly topicId: string | null
}

/** The truth about where a group stands, in the same database as its effects. */
export interface PositionStore<Tx> {
  /**
   * Takes the partition over: whoever held it before is fenced from now on.
   *
   * @param start where to begin when the group has never read this partition; it is stored
   */
  take(place: GroupPartition, start: { offset: bigint; topicId: string | null }): Promise<Position>

  /** Moves the position by hand, under the epoch. @returns whether the epoch still stood */
  reset(place: GroupPartition, epoch: bigint, start: { offset: bigint; topicId: string | null }): Promise<boolean>

  /**
   * The fence: moves the position from `from` to `to` inside the effect transaction.
   *
   * @returns false when somebody else took the partition, or the database was set back: then nothing may be applied
   */
  advance(tx: Tx, place: GroupPartition, epoch: bigint, from: bigint, to: bigint): Promise<boolean>

  /**
   * The fence of a message that commits for itself: reads the epoch, and locks nothing. A lock would deadlock with
   * {@link PositionStore.follow}, and starve a take-over.
   *
   * @returns false when somebody else took the partition: then nothing may be applied
   */
  holds(tx: Tx, place: GroupPartition, epoch: bigint): Promise<boolean>

  /** Moves the position behind messages that committed for themselves, in a transaction of its own. @returns as `advance` */
  follow(place: GroupPartition, epoch: bigint, from: bigint, to: bigint): Promise<boolean>
}
