import type { ConsumedRecord, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { PartitionSource } from '../../core/broker/partition-reader.ts'
import type { Clock } from '../../foundation/clock.ts'
import type { TrunklineError } from '../../foundation/errors.ts'
import type { WatchedPartition } from '../wire/lag-watch.ts'
import type { PrefetchBudget } from '../wire/prefetch-budget.ts'
import { Prefetched } from '../wire/prefetched.ts'

export interface PartitionFeedParts {
  readonly partition: TopicPartition
  readonly budget: PrefetchBudget
  readonly clock: Clock
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

/** Fetches one partition from where it is due, and keeps what the listener has not taken. */
export class PartitionFeed implements PartitionSource, WatchedPartition {
  readonly #parts: PartitionFeedParts
  readonly #fetched: Prefetched
  #due: bigint | undefined
  /** When a fetch last told something of this partition, or could first have. */
  #heardAt = 0

  constructor(parts: PartitionFeedParts) {
    this.#parts = parts
    this.#fetched = new Prefetched({ budget: parts.budget, onFull: () => undefined, onRoom: () => this.#begin() })
  }

  get partition(): TopicPartition {
    return this.#parts.partition
  }

  get due(): bigint | undefined {
    return this.#fetched.isFull ? undefined : this.#due
  }

  get silentMs(): number {
    return this.due === undefined ? 0 : this.#parts.clock.monotonic() - this.#heardAt
  }

  range(): Promise<PartitionRange> {
    return this.#parts.range()
  }

  seek(offset: bigint): void {
    this.#fetched.clear()
    this.#due = offset
    this.#begin()
  }

  pause(): void {
    this.#fetched.clear()
    this.#due = undefined
  }

  heard(): void {
    this.#heardAt = this.#parts.clock.monotonic()
  }

  /** Takes what was fetched from where it is due; what was asked for before a seek or a pause is dropped. */
  offer({ from, records, next }: Fetched): void {
    if (from !== this.#due) return
    this.#due = next
    this.heard()
    this.#fetched.add(records)
  }

  /** Nothing can be read from where it is due: the listener is asked again. */
  lose(from: bigint, reason: TrunklineError): void {
    if (from !== this.#due) return
    this.#due = undefined
    this.#fetched.lose(reason)
  }

  next(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    return this.#fetched.take(signal)
  }

  #begin(): void {
    this.heard()
    this.#parts.onHungry()
  }
}
