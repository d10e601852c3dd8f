import type { ConsumedBatch, ConsumedRecord, LogConsumerListener, PartitionRange } from '../../src/core/broker/log-consumer.ts'
import type { TopicPartition } from '../../src/core/broker/log-producer.ts'

type Handler = (batch: ConsumedBatch, signal: AbortSignal) => Promise<bigint> | bigint

/** A listener that takes everything, from the start that a test gives, and remembers what happened in which order. */
export class RecordingListener implements LogConsumerListener {
  readonly assigned: { readonly partition: TopicPartition; readonly range: PartitionRange }[] = []
  readonly revoked: TopicPartition[] = []
  readonly records: (TopicPartition & ConsumedRecord)[] = []
  readonly failures: unknown[] = []
  readonly missing: string[] = []
  readonly stuck: { readonly partition: TopicPartition; readonly reason: Error }[] = []
  readonly #watchers = new Set<() => void>()
  readonly #startAt: (partition: TopicPartition, range: PartitionRange) => bigint
  readonly #handler: Handler

  constructor(startAt: (partition: TopicPartition, range: PartitionRange) => bigint = () => 0n, handler: Handler = takeAll) {
    this.#startAt = startAt
    this.#handler = handler
  }

  async onAssigned(partition: TopicPartition, range: PartitionRange): Promise<bigint> {
    this.assigned.push({ partition, range })
    this.#changed()
    return this.#startAt(partition, range)
  }

  async onBatch(batch: ConsumedBatch, signal: AbortSignal): Promise<bigint> {
    const { topic, partition, records } = batch
    this.records.push(...records.map((record) => read({ topic, partition }, record)))
    this.#changed()
    return await this.#handler(batch, signal)
  }

  onRevoked(partition: TopicPartition): void {
    this.revoked.push(partition)
    this.#changed()
  }

  async onTopicMissing(topic: string): Promise<void> {
    this.missing.push(topic)
    this.#changed()
  }

  async onPartitionStuck(partition: TopicPartition, reason: Error): Promise<void> {
    this.stuck.push({ partition, reason })
    this.#changed()
  }

  onFailure(error: unknown): void {
    this.failures.push(error)
    this.#changed()
  }

  /** The values read so far as text, of one partition if one is named. */
  values(partition?: number): string[] {
    return this.records
      .filter((record) => partition === undefined || record.partition === partition)
      .map((record) => record.value?.toString() ?? 'null')
  }

  offsets(partition = 0): bigint[] {
    return this.records.filter((record) => record.partition === partition).map((record) => record.offset)
  }

  /** Resolves when the condition holds; it is looked at whenever something happened. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#watchers.delete(wake)
          resolve()
        }
        this.#watchers.add(wake)
      })
    }
  }

  #changed(): void {
    for (const wake of this.#watchers) wake()
  }
}

export function takeAll(batch: ConsumedBatch): bigint {
  return (batch.records.at(-1)?.offset ?? -1n) + 1n
}

/** What a handler does that takes nothing more, until it is told to end. */
export async function takeNothing(_: ConsumedBatch, signal: AbortSignal): Promise<bigint> {
  return await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
    if (signal.aborted) reject(signal.reason)
  })
}

/** Part by part: a record may read them from its bytes when they are asked for, and then a copy by spread has none. */
function read(place: TopicPartition, record: ConsumedRecord): TopicPartition & ConsumedRecord {
  const { offset, key, value, headers, timestampMs, unreadable } = record
  return { ...place, offset, key, value, headers, timestampMs, ...(unreadable === undefined ? {} : { unreadable }) }
}
