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
   * Looks for the key and locks it against being unparked, in a statement of its own after the claim.
   *
   * @returns whether it is parked: then its messages must queue up, not run
   */
  lockParked(tx: Tx, key: KeyReference): Promise<boolean>

  /** Keeps a message, at the end of its key's queue; parks the key if it was not. */
  park(tx: Tx, message: ParkedMessage): Promise<void>

  /** Makes known that the group handles these message names. They are never skipped from now on. */
  registerHandled(group: string, names: readonly string[]): Promise<void>

  /** Whether any build of the group handles the name; read inside the effect transaction, for a cached answer loses. */
  handledByGroup(tx: Tx, group: string, name: string): Promise<boolean>
}
