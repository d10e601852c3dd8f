import type { ConsumedRecord, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { PartitionSource } from '../../core/broker/partition-reader.ts'
import type { Clock } from '../../foundation/clock.ts'
import { TransientError, type TrunklineError } from '../../foundation/errors.ts'
import type { WatchedPartition } from '../wire/lag-watch.ts'
import type { PrefetchBudget } from '../wire/prefetch-budget.ts'
import { Prefetched } from '../wire/prefetched.ts'

/** What a partition asks of the consumer that fetches for it. */
export interface PartitionFetcher {
  range(partition: TopicPartition): Promise<PartitionRange>
  seek(partition: TopicPartition, offset: bigint): void
  pause(partition: TopicPartition): void
  resume(partition: TopicPartition): void
}

export interface PartitionBufferParts {
  readonly fetcher: PartitionFetcher
  readonly budget: PrefetchBudget
  readonly clock: Clock
}

/** A batch as kafkajs fetched it. `fetchedOffset` is what it had asked for; the records may begin before it. */
export interface FetchedBatch {
  readonly fetchedOffset: bigint
  readonly lastOffset: bigint
  readonly records: readonly ConsumedRecord[]
}

/**
 * What kafkajs fetched of one partition and the listener has not taken.
 *
 * kafkajs fetches from a broker only when all of its last reply is handled, so one slow partition would stop its
 * neighbours. Here a batch is handed over at once, and only a partition that is full pauses.
 *
 * Each batch must have been fetched from exactly the place that is due. Anything else was asked for before a seek, or
 * kafkajs has moved the position by itself because it was out of the log's range: then the listener decides.
 */
export class PartitionBuffer implements PartitionSource, WatchedPartition {
  readonly partition: TopicPartition
  readonly #fetcher: PartitionFetcher
  readonly #clock: Clock
  readonly #fetched: Prefetched
  /** Where the next fetch is due; `undefined` while paused. */
  #due: bigint | undefined
  /** When a fetch last told something of this partition, or could first have. */
  #heardAt = 0

  constructor(partition: TopicPartition, { fetcher, budget, clock }: PartitionBufferParts) {
    this.partition = partition
    this.#fetcher = fetcher
    this.#clock = clock
    this.#fetched = new Prefetched({ budget, onFull: () => fetcher.pause(partition), onRoom: () => this.#resume() })
  }

  get isFetching(): boolean {
    return this.#due !== undefined && !this.#fetched.isFull
  }

  get silentMs(): number {
    return this.isFetching ? this.#clock.monotonic() - this.#heardAt : 0
  }

  get due(): bigint | undefined {
    return this.#due
  }

  range(): Promise<PartitionRange> {
    return this.#fetcher.range(this.partition)
  }

  seek(offset: bigint): void {
    this.#fetched.clear()
    this.#due = offset
    this.#fetcher.seek(this.partition, offset)
    this.#resume()
  }

  #resume(): void {
    this.heard()
    this.#fetcher.resume(this.partition)
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic()
  }

  /** The leader answered a fetch, and the log has nothing to read from `end` on. */
  answered(end: bigint): void {
    if (this.#due !== undefined && end <= this.#due) this.heard()
  }

  /** What was fetched before is handed over, then the reader hears why there is no more. */
  lose(reason: TrunklineError): void {
    if (this.#due === undefined) return
    this.#due = undefined
    this.#fetcher.pause(this.partition)
    this.#fetched.lose(reason)
  }

  pause(): void {
    this.#fetched.clear()
    this.#due = undefined
    this.#fetcher.pause(this.partition)
  }

  /** @returns whether the batch is in its place and was taken */
  offer(batch: FetchedBatch): boolean {
    if (this.#due === undefined) return false
    if (batch.fetchedOffset !== this.#due) {
      this.lose(positionLost(this.partition, this.#due, batch.fetchedOffset))
      return false
    }
    // A batch is fetched whole, also for an offset in its middle.
    const isInside = (batch.records[0]?.offset ?? 0n) < batch.fetchedOffset
    const records = isInside ? batch.records.filter(({ offset }) => offset >= batch.fetchedOffset) : batch.records
    this.#due = batch.lastOffset + 1n
    this.heard()
    this.#fetched.add(records)
    return true
  }

  /** kafkajs moved over offsets that hold nothing for a listener. */
  passOver(lastOffset: bigint): void {
    if (this.#due === undefined || lastOffset < this.#due) return
    this.#due = lastOffset + 1n
    this.heard()
  }

  next(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    return this.#fetched.take(signal)
  }
}

function positionLost({ topic, partition }: TopicPartition, due: bigint, fetchedFrom: bigint): TransientError {
  return new TransientError(
    'POSITION_LOST',
    `Partition ${topic}/${partition} was to be read from offset ${due}, and the client reads from ${fetchedFrom}, ` +
      'most likely because the log does not reach there any more. The position is asked for again.',
    { due, fetchedFrom },
  )
}
