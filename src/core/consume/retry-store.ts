import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import type { Reason } from '../failures/reason.ts'
import type { KeyReference } from './parking-store.ts'
import type { Fate } from './policies/fate.ts'

/** What a process can run. */
export interface Capabilities {
  readonly group: string
  /** Message names that have a handler here. */
  readonly names: readonly string[]
  /** Fingerprints of the schemas that can be read here. */
  readonly schemas: readonly string[]
}

/** For whom keys are leased, how many, and for how long. */
export interface LeaseTerms {
  readonly limit: number
  readonly leaseMs: number
  /** The process, as its heartbeat calls it. */
  readonly by: string
  /** Of the leases that it still has. Its others are of an answer that never reached it, and are free. */
  readonly tokens: readonly string[]
}

/** A parked key that this process empties, until its lease runs out. */
export interface LeasedKey extends KeyReference {
  readonly group: string
  readonly token: string
  /** Its first message may have ended a process: whoever had the key neither gave it back nor emptied it, or it was charged with that before. */
  readonly leftBehind: boolean
  /** The same, and that process ran nothing else meanwhile: it died of the message, or was ended from outside. */
  readonly diedAlone: boolean
}

/** Of the first message of a key that is given back: it may have ended a process, or one that ran nothing else; only a run, or a charge, settles it. */
export type LeftSuspicion = 'none' | 'left behind' | 'died alone'

/** A message of a parked key, as it is to be tried again. */
export interface QueuedMessage {
  readonly seq: bigint
  readonly inboxId: string
  readonly attempts: number
  readonly place: TopicPartition
  readonly record: ConsumedRecord
}

/** A failed attempt of a message, and what becomes of it. */
export interface FailedAttempt {
  readonly seq: bigint
  /** Recorded failures, this one included. */
  readonly attempts: number
  readonly reason: Reason
  readonly fate: Fate
}

/**
 * Parked keys from the side of whoever empties them.
 *
 * The lock of the key's row decides who may run its messages; a lease only spares others the attempt. Its token is
 * checked under that lock, so that a process that slept through its lease does nothing.
 */
export interface RetryStore<Tx> {
  /**
   * Takes keys that are due, that nobody has, and whose first message this process can run; a key whose queue is empty
   * too, for somebody died before it was unparked.
   *
   * A lease that ran out is free only when its process is dead as well: a handler may take longer than any lease.
   */
  lease(capable: Capabilities, terms: LeaseTerms): Promise<readonly LeasedKey[]>

  /** How long until the next key of the group is due, at least 0; `undefined` when none will be by itself. */
  dueIn(group: string): Promise<number | undefined>

  /** The first messages of the queue, no more than fit into the limits, but one in any case. @returns none when it is empty */
  peek(key: LeasedKey, limits: { readonly messages: number; readonly bytes: number }): Promise<readonly QueuedMessage[]>

  /**
   * Locks the key and takes messages out of the queue, in the transaction that will apply them.
   *
   * @returns false when they are not the first ones any more, or not waiting, or the lease is somebody else's: then
   *   nothing may be applied
   */
  take(tx: Tx, key: LeasedKey, messages: readonly QueuedMessage[]): Promise<boolean>

  /**
   * Takes the whole queue and the key itself: it waits for those who append, and they wait for its commit.
   *
   * @returns false when the queue has others than these messages, or the lease is somebody else's: then nothing may be applied
   */
  takeAll(tx: Tx, key: LeasedKey, messages: readonly QueuedMessage[]): Promise<boolean>

  /** Records a failed attempt and gives the key back. @returns false when the message was settled elsewhere, or the lease is somebody else's */
  fail(tx: Tx, key: LeasedKey, failed: FailedAttempt): Promise<boolean>

  /**
   * Gives the key back, due after `delayMs`, no attempt spent. A held key waits for a person, however soon it is due.
   *
   * @param suspicion what the next one shall think of the first message, unless nobody ever suspected it. Default 'none'
   */
  giveBack(key: LeasedKey, delayMs: number, suspicion?: LeftSuspicion): Promise<void>

  /** Notes that nothing else runs beside this key from now on, until its message was taken or the key is given back. @returns whether the lease is still ours */
  runAlone(key: LeasedKey): Promise<boolean>

  /** Keeps a lease that is still ours for so long. @returns whether it was */
  renew(key: LeasedKey, leaseMs: number): Promise<boolean>

  /** Deletes messages that were discarded longer ago than so many milliseconds, some at a time. @returns how many */
  forgetDiscarded(group: string, olderThanMs: number): Promise<number>

  /** Deletes the key if no message is left. It waits for whoever may be appending. @returns false when one was left, or the lease is somebody else's */
  unpark(key: LeasedKey): Promise<boolean>
}
