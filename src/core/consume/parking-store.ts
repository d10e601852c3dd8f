import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import type { Reason } from '../failures/reason.ts'

/** A key of a group's messages, as they came from one topic. A message that waits for nobody is a key of its own. */
export interface KeyReference {
  readonly topic: string
  /** What it is known by: a foreign producer's key may be longer than an index takes. See `keyOf` and `keyOfOne`. */
  readonly hash: Buffer
  /** `null` for a message that is a key of its own. */
  readonly key: Buffer | null
}

/** A message that is kept instead of applied: its record as it was read, and why. */
export interface ParkedMessage {
  readonly group: string
  readonly inboxId: string
  /** With its version; `'unknown'` where the record does not say. */
  readonly type: string
  /** Without its version: what a handler is found by. `null` where the record does not say. */
  readonly name: string | null
  readonly key: KeyReference
  /** Whether it stands in its key's queue; one that does not holds nobody up. */
  readonly queued: boolean
  /** A dead message at the head of a queue holds its key, until a person acts. */
  readonly state: 'waiting' | 'dead'
  /** Recorded failures. */
  readonly attempts: number
  /** How long until it may run, if it is the first of its key's queue. */
  readonly delayMs: number
  readonly reason: Reason
  readonly place: TopicPartition
  readonly record: ConsumedRecord
}

/** Keys that wait, and the messages queued behind them: what a batch needs of them. Each call is one statement a kind of row. */
export interface ParkingStore<Tx> {
  /**
   * Looks for keys of one topic and locks those that are parked against being unparked, in ascending order. In a
   * statement of its own after the claim: with the claim's snapshot, a key that was parked in between would be overtaken.
   *
   * @returns those that are parked: their messages must queue up, not run
   */
  lockParked(tx: Tx, place: { readonly group: string; readonly topic: string }, keys: readonly Buffer[]): Promise<readonly Buffer[]>

  /**
   * Keeps messages of one group that were claimed in this transaction, each at the end of its key's queue in the order
   * of the list; parks the keys that were not. One that the group keeps already stays as it is, where it is.
   *
   * @throws ConflictError a key went away meanwhile; run the transaction again
   */
  park(tx: Tx, messages: readonly ParkedMessage[]): Promise<void>

  /** How much the group keeps, what was discarded not counted. */
  load(tx: Tx, group: string): Promise<{ readonly rows: number; readonly bytes: number }>

  /** Makes known that the group handles these message names. They are never skipped from now on. */
  registerHandled(group: string, names: readonly string[]): Promise<void>

  /**
   * Read inside the effect transaction, for a cached answer loses.
   *
   * @returns those of the names that some build of the group handles
   */
  handledByGroup(tx: Tx, group: string, names: readonly string[]): Promise<ReadonlySet<string>>
}
