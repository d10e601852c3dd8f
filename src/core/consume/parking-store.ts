import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'

/** A key of a group's messages, as they came from one topic. */
export interface KeyReference {
  readonly group: string
  readonly topic: string
  readonly key: Buffer
}

/** A message that is kept instead of applied: its record as it was read, and why. */
export interface ParkedMessage {
  readonly group: string
  readonly inboxId: string
  /** The key that waits behind it; `null` for a message that holds nobody up. */
  readonly key: KeyReference | null
  readonly state: 'waiting' | 'dead'
  /** Recorded failures. */
  readonly attempts: number
  readonly reasonCode: string
  readonly reason: string
  readonly place: TopicPartition
  readonly record: ConsumedRecord
}

/** Keys that wait, and the messages queued behind them. */
export interface ParkingStore<Tx> {
  /**
   * Looks for keys of one topic and locks those that are parked against being unparked, in ascending order. It is a
   * statement of its own after the claim.
   *
   * @returns those that are parked: their messages must queue up, not run
   */
  lockParked(tx: Tx, place: { readonly group: string; readonly topic: string }, keys: readonly Buffer[]): Promise<readonly Buffer[]>

  /** Keeps messages of one group, each at the end of its key's queue, in the order given; parks the keys that were not. */
  park(tx: Tx, messages: readonly ParkedMessage[]): Promise<void>

  /** Makes known that the group handles these message names. They are never skipped from now on. */
  registerHandled(group: string, names: readonly string[]): Promise<void>

  /** Which of the names any build of the group handles; read inside the effect transaction, for a cached answer loses. */
  handledByGroup(tx: Tx, group: string, names: readonly string[]): Promise<ReadonlySet<string>>
}
