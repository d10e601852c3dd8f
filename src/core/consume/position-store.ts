import type { Queryable } from '../database/database.ts'

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
  /** What some process had begun and not ended. */
  readonly started: Started | null
  /** Below it a process died in the middle: each message runs alone. */
  readonly suspectTo: bigint | null
}

/** How far a batch goes that has begun, and the process that runs it. */
export interface Started {
  readonly to: bigint
  readonly by: string
}

/** The truth about where a group stands, in the same database as its effects. */
export interface PositionStore<Tx> {
  /**
   * Takes the partition over: whoever held it before is fenced from now on.
   *
   * @param start where to begin when the group has never read this partition; it is stored
   */
  take(place: GroupPartition, start: { offset: bigint; topicId: string | null }): Promise<Position>

  /** Where the group stands now. @returns `undefined` when it has never read the partition */
  look(place: GroupPartition): Promise<Position | undefined>

  /**
   * Notes what is about to begin, in a commit of its own; whatever moves the position so far takes it back.
   *
   * @param durable whether a crash of the database must keep it too
   * @param alone where it is sent; by default, on a connection of the pool
   * @returns whether the epoch still stood
   */
  mark(place: GroupPartition, epoch: bigint, started: Started, durable: boolean, alone?: Queryable): Promise<boolean>

  /** Takes back what a process had noted: nothing of it runs any more. */
  unmark(place: GroupPartition, by: string): Promise<void>

  /**
   * Gives the partition up: takes back what the process had noted, and ends its epoch, so that a note of it that is still
   * on its way, in a connection that was thought dead, is refused when it arrives.
   */
  leave(place: GroupPartition, epoch: bigint, by: string): Promise<void>

  /** What a dead process had begun is suspect, up to an offset. @returns whether the epoch still stood */
  suspect(place: GroupPartition, epoch: bigint, to: bigint): Promise<boolean>

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
