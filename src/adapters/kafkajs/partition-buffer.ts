import type { ConsumedRecord, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { PartitionSource } from '../../core/broker/partition-reader.ts'
import { TransientError } from '../../foundation/errors.ts'

/** What a partition asks of the consumer that fetches for it. */
export interface PartitionFetcher {
  range(partition: TopicPartition): Promise<PartitionRange>
  seek(partition: TopicPartition, offset: bigint): void
  pause(partition: TopicPartition): void
  resume(partition: TopicPartition): void
}

/** A batch as kafkajs fetched it. `fetchedOffset` is what it had asked for. */
export interface FetchedBatch {
  readonly fetchedOffset: bigint
  readonly lastOffset: bigint
  readonly records: readonly ConsumedRecord[]
}

/** Fetching of a partition stops above, and goes on below half of it. */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024

/**
 * What kafkajs fetched of one partition and the listener has not taken.
 *
 * kafkajs fetches from a broker only when all of its last reply is handled, so one slow partition would stop its
 * neighbours. Here a batch is handed over at once, and only a partition that is full pauses.
 *
 * Each batch must have been fetched from exactly the place that is due. Anything else was asked for before a seek, or
 * kafkajs has moved the position by itself because it was out of the log's range: then the listener decides.
 */
export class PartitionBuffer implements PartitionSource {
  readonly #partition: TopicPartition
  readonly #fetcher: PartitionFetcher
  #batches: FetchedBatch[] = []
  #bytes = 0
  #full = false
  /** Where the next fetch is due; `undefined` while paused. */
  #due: bigint | undefined
  #lost: TransientError | undefined
  #wake: (() => void) | undefined

  constructor(partition: TopicPartition, fetcher: PartitionFetcher) {
    this.#partition = partition
    this.#fetcher = fetcher
  }

  range(): Promise<PartitionRange> {
    return this.#fetcher.range(this.#partition)
  }

  seek(offset: bigint): void {
    this.#clear()
    this.#due = offset
    this.#fetcher.seek(this.#partition, offset)
    this.#fetcher.resume(this.#partition)
  }

  pause(): void {
    this.#clear()
    this.#due = undefined
    this.#fetcher.pause(this.#partition)
  }

  /** @returns whether the batch is in its place and was taken */
  offer(batch: FetchedBatch): boolean {
    if (this.#due === undefined) return false
    if (batch.fetchedOffset !== this.#due) {
      this.#lose(batch.fetchedOffset, this.#due)
      return false
    }
    this.#due = batch.lastOffset + 1n
    this.#batches.push(batch)
    this.#bytes += byteLengthOf(batch)
    if (this.#bytes > BUFFER_BYTES_MAX && !this.#full) {
      this.#full = true
      this.#fetcher.pause(this.#partition)
    }
    this.#wake?.()
    return true
  }

  /** kafkajs moved over offsets that hold nothing for a listener. */
  passOver(lastOffset: bigint): void {
    if (this.#due !== undefined && lastOffset >= this.#due) this.#due = lastOffset + 1n
  }

  async next(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    while (this.#batches.length === 0) {
      if (this.#lost !== undefined) throw this.#lost
      await this.#filled(signal)
      signal.throwIfAborted()
    }
    const batch = this.#batches.shift()
    if (batch === undefined) return []
    this.#bytes -= byteLengthOf(batch)
    if (this.#full && this.#bytes < BUFFER_BYTES_MAX / 2) {
      this.#full = false
      this.#fetcher.resume(this.#partition)
    }
    return batch.records
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

  #lose(fetchedFrom: bigint, due: bigint): void {
    this.#lost = new TransientError(
      'POSITION_LOST',
      `Partition ${this.#partition.topic}/${this.#partition.partition} was to be read from offset ${due}, and the client reads from ${fetchedFrom}, ` +
        'most likely because the log does not reach there any more. The position is asked for again.',
      { due, fetchedFrom },
    )
    this.#due = undefined
    this.#fetcher.pause(this.#partition)
    this.#wake?.()
  }

  #clear(): void {
    this.#batches = []
    this.#bytes = 0
    this.#full = false
    this.#lost = undefined
  }
}

function byteLengthOf({ records }: FetchedBatch): number {
  let bytes = 0
  for (const { key, value } of records) bytes += 100 + (key?.length ?? 0) + (value?.length ?? 0)
  return bytes
}
