import { exceedHeaderLimits } from '../../core/broker/header-bytes.ts'
import type { ConsumedRecord, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { LogRecord, TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import type { Clock } from '../../foundation/clock.ts'
import { ConfigurationError, StuckError, TransientError } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'
import { encodeRecord } from '../wire/record-encoder.ts'
import { headerFlood } from '../wire/record-headers.ts'

/** Kafka's default `message.max.bytes`, which limits a batch, not a record. */
const BATCH_BYTES_MAX = 1_048_588
/** A log in memory keeps everything unless the topic says otherwise. */
const KEEP = -1

/** A topic of the memory log. Its id tells it from an earlier one of the same name. */
export class MemoryTopic {
  readonly id: string = newToken()
  readonly name: string
  readonly replicationFactor: number
  readonly #clock: Clock
  readonly #partitions: MemoryPartition[] = []
  #settings: TopicSettings

  constructor({ name, partitions, replicationFactor, settings = {} }: TopicSpec, clock: Clock) {
    this.name = name
    this.replicationFactor = replicationFactor
    this.#settings = settings
    this.#clock = clock
    this.#add(partitions)
  }

  get partitions(): readonly MemoryPartition[] {
    return this.#partitions
  }

  get settings(): TopicSettings {
    return this.#settings
  }

  get isCompacted(): boolean {
    return (this.#settings['cleanup.policy'] ?? 'delete').includes('compact')
  }

  get batchBytesMax(): number {
    return Number(this.#settings['max.message.bytes'] ?? BATCH_BYTES_MAX)
  }

  change(settings: TopicSettings): void {
    this.#settings = { ...this.#settings, ...settings }
  }

  /** @throws ConfigurationError it has as many or more */
  raise(partitions: number): void {
    if (partitions <= this.#partitions.length) throw partitionsRefused(this.name, this.#partitions.length, partitions)
    this.#add(partitions - this.#partitions.length)
  }

  /** @throws TransientError `LEADER_MISSING` */
  rangeOf(partition: MemoryPartition): PartitionRange {
    partition.demandLeader()
    this.retain(partition)
    return { earliest: partition.start, latest: partition.end, topicId: this.id }
  }

  /** Kafka deletes some time after a record is too old; here it is gone as soon as somebody looks. */
  retain(partition: MemoryPartition): void {
    const retentionMs = Number(this.#settings['retention.ms'] ?? KEEP)
    if (retentionMs >= 0 && (this.#settings['cleanup.policy'] ?? 'delete').includes('delete')) {
      partition.truncateOlder(this.#clock.now() - retentionMs)
    }
  }

  #add(count: number): void {
    for (let added = 0; added < count; added++) {
      this.#partitions.push(new MemoryPartition({ topic: this.name, partition: this.#partitions.length }, this.#clock))
    }
  }
}

/**
 * Records in the order in which they were appended. Offsets are never given twice; where records were compacted away
 * they have gaps.
 */
export class MemoryPartition {
  readonly #target: TopicPartition
  readonly #clock: Clock
  readonly #waiting = new Set<() => void>()
  #records: ConsumedRecord[] = []
  #start = 0n
  #end = 0n
  #leaderlessUntil = 0

  constructor(target: TopicPartition, clock: Clock) {
    this.#target = target
    this.#clock = clock
  }

  /** The lowest offset that can be asked for. */
  get start(): bigint {
    return this.#start
  }

  /** What the next record gets. */
  get end(): bigint {
    return this.#end
  }

  get isLeaderless(): boolean {
    return this.#clock.monotonic() < this.#leaderlessUntil
  }

  demandLeader(): void {
    if (!this.isLeaderless) return
    const { topic, partition } = this.#target
    throw new TransientError('LEADER_MISSING', `Partition ${topic}/${partition} has no leader now. It can be tried again.`, {
      topic,
      partition,
    })
  }

  /** The bytes are copied, as a broker has its own: the caller may use its buffers again. @returns the first offset */
  append(records: readonly LogRecord[]): bigint {
    const baseOffset = this.#end
    for (const record of records) {
      const { key, value, timestampMs } = record
      this.#records.push({
        offset: this.#end,
        key: copyOf(key),
        value: copyOf(value),
        headers: record.headers.map(([name, bytes]) => [name, Buffer.from(bytes)] as const),
        timestampMs,
      })
      this.#end += 1n
    }
    this.#wake()
    return baseOffset
  }

  /** From the first record at or above `from`: at most `max`, and at most so many bytes unless one record alone has more. */
  read(from: bigint, max: number, bytesMax: number): readonly ConsumedRecord[] {
    const first = this.#indexOf(from)
    let bytes = 0
    let last = first
    for (let record = this.#records[last]; record !== undefined && last < first + max; record = this.#records[++last]) {
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      if (bytes > bytesMax && last > first) break
    }
    return this.#records.slice(first, last).map(asRead)
  }

  /** Resolves when a record at or above `offset` can be read, or when the signal aborts. */
  async holds(offset: bigint, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.isLeaderless) await this.#clock.sleep(this.#leaderlessUntil - this.#clock.monotonic(), signal)
      else if ((this.#records.at(-1)?.offset ?? -1n) >= offset || offset < this.#start) return
      else await this.#changed(signal)
    }
  }

  loseLeader(forMs: number): void {
    this.#leaderlessUntil = Math.max(this.#leaderlessUntil, this.#clock.monotonic() + forMs)
    this.#wake()
  }

  /** Retention: what stands below `before` is gone. */
  truncate(before: bigint): void {
    if (before <= this.#start) return
    this.#start = before > this.#end ? this.#end : before
    this.#records = this.#records.slice(this.#indexOf(this.#start))
    this.#wake()
  }

  /** Retention by time: what is older goes, from the start. */
  truncateOlder(thanMs: number): void {
    const first = this.#records.findIndex(({ timestampMs }) => timestampMs >= thanMs)
    if (first !== 0) this.truncate(this.#records[first]?.offset ?? this.#end)
  }

  /** Keeps of each key the last record. The newest record of all stays, as Kafka never compacts the segment it writes. */
  compact(): void {
    const last = new Map(this.#records.map(({ key, offset }) => [key?.toString('latin1'), offset]))
    const newest = this.#records.at(-1)?.offset
    this.#records = this.#records.filter(
      ({ key, offset }) => offset === newest || key === null || last.get(key.toString('latin1')) === offset,
    )
  }

  #indexOf(offset: bigint): number {
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#records[middle]?.offset ?? 0n) < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  async #changed(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
}

function copyOf(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes)
}

/** What every reader of Kafka's bytes makes of a record with too many headers. */
function asRead(record: ConsumedRecord): ConsumedRecord {
  return exceedHeaderLimits(record.headers) ? headerFlood(record, encodeRecord(record)) : record
}

export function topicMissing(topic: string): StuckError {
  return new StuckError('TOPIC_MISSING', `Topic "${topic}" does not exist in the memory log. Create it: admin.createTopics.`, { topic })
}

function partitionsRefused(topic: string, has: number, wanted: number): ConfigurationError {
  return new ConfigurationError(
    'TOPIC_PARTITIONS_REFUSED',
    `Topic "${topic}" has ${has} partitions and cannot have ${wanted}. Their number can only grow.`,
    { topic, has, wanted },
  )
}
