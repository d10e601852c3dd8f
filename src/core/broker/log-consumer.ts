import type { TrunklineError } from '../../foundation/errors.ts'
import type { HeaderPair, TopicPartition } from './log-producer.ts'

/**
 * The parts of a record, which a driver may read when they are asked for. A getter of a class is no part of a copy by
 * spread, neither of its value nor of its type: a copy that has lost its parts does not compile.
 */
declare abstract class WithParts {
  get key(): Buffer | null
  get value(): Buffer | null
  get headers(): readonly HeaderPair[]
}

/** A record as it was read: the bytes, and where they stood. To copy one, name its parts: `const { key, value, headers } = record`. */
export interface ConsumedRecord extends WithParts {
  readonly offset: bigint
  readonly timestampMs: number
  /**
   * Set when the driver could not read what stands here; then there is no key and there are no headers, and `value` holds
   * the bytes as they stand in the log: of a whole batch (damaged, a compression that is not known, a bomb), told at the
   * last of its offsets, or of one record with more headers than the limits of `header-bytes.ts`.
   */
  readonly unreadable?: { readonly code: string; readonly reason: string }
}

export interface ConsumedBatch extends TopicPartition {
  /** In offset order; offsets may have gaps (compaction, aborted transactions). Never empty. */
  readonly records: readonly ConsumedRecord[]
}

/** What the partition holds when it is assigned. `latest` is the offset that the next record will get. */
export interface PartitionRange {
  readonly earliest: bigint
  readonly latest: bigint
  /** The topic's id, where the driver knows it. */
  readonly topicId: string | null
}

export interface LogConsumerListener {
  /**
   * Called once for each partition that this member now owns, before any of its records are read, and again
   * after `onBatch` rejected. @returns the first offset to read
   */
  onAssigned(partition: TopicPartition, range: PartitionRange): Promise<bigint>

  /**
   * One batch at a time per partition, partitions side by side. The signal aborts when the partition is
   * revoked or the consumer stops; then return soon.
   *
   * @returns the next offset to read, which is also what is committed to the group; at least the offset of the
   *   first record. Less than the whole batch means: give me the rest again.
   * @throws anything: the partition pauses with backoff, then `onAssigned` is asked again
   */
  onBatch(batch: ConsumedBatch, signal: AbortSignal): Promise<bigint>

  /** Best effort: some drivers learn of a revoke late. Correctness never rests on it. */
  onRevoked(partition: TopicPartition): void

  /**
   * A topic does not exist, or this service may not see it: the others are read meanwhile. Called once for each time
   * that it is missing, and again when the listener rejects.
   */
  onTopicMissing?(topic: string): Promise<void>

  /**
   * A partition is not read any further until a person acts; it is tried again meanwhile. Called once for each time
   * that it gets stuck, and again when the listener rejects.
   */
  onPartitionStuck?(partition: TopicPartition, reason: TrunklineError): Promise<void>

  /** The log is gone for good; the consumer has stopped. */
  onFailure(error: unknown): void
}

/**
 * Reads topics as a member of one consumer group.
 *
 * Where to start is the listener's decision, for every partition and every assignment; offsets committed to
 * the group serve lag tools only. Membership is kept while handlers run and while partitions pause.
 */
export interface LogConsumer {
  /** Whether it is a member of its group now: not before it has joined, and not while the log does not answer. */
  readonly joined: boolean

  /**
   * Joins the group; resolves when the first assignment is known. Retries until the signal aborts.
   *
   * Topics that are missing are looked for again and again, and read from when they are there. While all of them
   * are missing it has not joined.
   */
  start(listener: LogConsumerListener, signal: AbortSignal): Promise<void>

  /** Stops fetching, waits for running batches no longer than `deadlineMs`, commits, leaves the group. */
  stop(deadlineMs: number): Promise<void>
}

/** Builds a consumer for a group and its topics. */
export interface LogConsumerFactory {
  consumer(group: string, topics: readonly string[]): LogConsumer
}
