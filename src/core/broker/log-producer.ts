import type { TrunklineError } from '../../foundation/errors.ts'

/** One header of a record. Kafka keeps their order and allows a name twice. */
export type HeaderPair = readonly [name: string, value: Buffer]

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** What is written: bytes, and nothing that the log would interpret. */
export interface LogRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly HeaderPair[]
  /** Milliseconds since the epoch. */
  readonly timestampMs: number
  /** The same key, value and headers as they are stored, checked by `checkStoredHeaders`: what need not be taken apart is copied from there. */
  readonly stored?: StoredRecord
}

/**
 * The key, the value and the headers of a record as they lie in larger memory: each behind its length in four bytes, −1
 * for none; the headers as `packHeaders` writes them. Views on them are made for whoever reads them: a hundred bytes of
 * heap each, where the bytes themselves are some hundred and most are only copied.
 */
export interface StoredRecord {
  readonly memory: Buffer
  /** Where the length of the key begins. */
  readonly at: number
}

/**
 * What became of one batch.
 *
 * - `acked`: every record is in the log, in order, from `baseOffset` on.
 * - `refused`: none was written, and sending the same again changes nothing until its cause is removed:
 *   the record, the topic, or the cluster (which also means "unreachable before anything was sent").
 * - `unknown`: the reply was lost, or the answer did not say. The batch may be in the log.
 */
export type AppendOutcome =
  | { readonly status: 'acked'; readonly baseOffset: bigint }
  | { readonly status: 'refused'; readonly scope: 'record' | 'topic' | 'cluster'; readonly reason: TrunklineError }
  | { readonly status: 'unknown'; readonly reason: TrunklineError }

/**
 * Appends batches to partitions of the log, at least once, with all in-sync replicas.
 *
 * The caller keeps at most one batch of a partition in flight; batches of several partitions go side by side.
 */
export interface LogProducer {
  /** Connects, retrying until it works or the signal aborts. */
  start(signal: AbortSignal): Promise<void>

  /**
   * Appends one batch to one partition. It never rejects: the outcome says what happened.
   *
   * The bytes of its records are the caller's: they stay as they are until the outcome is there, and nobody reads them
   * afterwards, for then their memory is used for others.
   *
   * After `unknown` the adapter has already replaced its client, so that no late request of the old
   * one can share a connection with the next attempt; the caller sends the *same* batch again before anything
   * else of that partition.
   */
  append(target: TopicPartition, records: readonly LogRecord[]): Promise<AppendOutcome>

  /** Waits for what is in flight, no longer than `deadlineMs`, then closes the connections. */
  stop(deadlineMs: number): Promise<void>
}
