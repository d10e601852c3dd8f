import type { ConsumedRecord, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { PartitionSource } from '../../core/broker/partition-reader.ts'
import type { TrunklineError } from '../../foundation/errors.ts'
import { FetchedRecords } from '../wire/fetched-records.ts'

export interface PartitionFeedParts {
  readonly partition: TopicPartition
  readonly range: () => Promise<PartitionRange>
  /** Hears that there is something to fetch again. */
  readonly onHungry: () => void
}

/** What one fetch found: records at or above where it began, and where the next one begins. */
export interface Fetched {
  readonly from: bigint
  readonly records: readonly ConsumedRecord[]
  readonly next: bigint
}

/** Fetching of a partition stops above, and goes on below half of it. */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024

/**
 * What was fetched of one partition and the listener has not taken: so a slow partition never stops its neighbours, and
 * a fast one has the next batch at hand.
 */
export class PartitionFeed implements PartitionSource {
  readonly #parts: PartitionFeedParts
  readonly #fetched = new FetchedRecords()
  #full = false
  #due: bigint | undefined
  #lost: TrunklineError | undefined
  #wake: (() => void) | undefined

  constructor(parts: PartitionFeedParts) {
    this.#parts = parts
  }

  get partition(): TopicPartition {
    return this.#parts.partition
  }

  /** From where to fetch; `undefined` while nothing is to be fetched. */
  get due(): bigint | undefined {
    return this.#full ? undefined : this.#due
  }

  range(): Promise<PartitionRange> {
    return this.#parts.range()
  }

  seek(offset: bigint): void {
    this.#clear()
    this.#due = offset
    this.#parts.onHungry()
  }

  pause(): void {
    this.#clear()
    this.#due = undefined
  }

  /** Takes what was fetched from where it is due; what was asked for before a seek or a pause is dropped. */
  offer({ from, records, next }: Fetched): void {
    if (from !== this.#due) return
    this.#due = next
    if (records.length === 0) return
    this.#fetched.add(records)
    this.#full = this.#fetched.bytes > BUFFER_BYTES_MAX
    this.#wake?.()
  }

  /** Nothing can be read from where it is due: the listener is asked again. */
  lose(from: bigint, reason: TrunklineError): void {
    if (from !== this.#due) return
    this.#lost = reason
    this.#due = undefined
    this.#wake?.()
  }

  async next(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    while (this.#fetched.isEmpty) {
      if (this.#lost !== undefined) throw this.#lost
      await this.#filled(signal)
      signal.throwIfAborted()
    }
    const { records } = this.#fetched.take()
    if (this.#full && this.#fetched.bytes < BUFFER_BYTES_MAX / 2) {
      this.#full = false
      this.#parts.onHungry()
    }
    return records
  }

  #filled(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        this.#wake = undefined
        resolve()
      }
      this.#wake = wake
      signal.addEventListener('abort', wake)
      if (signal.aborted) wake()
    })
  }

  #clear(): void {
    this.#fetched.clear()
    this.#full = false
    this.#lost = undefined
  }
}
