import type { ConsumedRecord, LogConsumer, LogConsumerListener, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { PartitionReader, type PartitionSource } from '../../core/broker/partition-reader.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf, TransientError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import type { GroupMember, MemoryGroup } from './memory-group.ts'
import { type MemoryPartition, type MemoryTopic, topicMissing } from './memory-topic.ts'

export interface MemoryConsumerParts {
  readonly cluster: MemoryCluster
  readonly clock: Clock
  readonly diagnostics: BackboneDiagnostics | undefined
}

/** More than an effect transaction holds, as a broker's reply has. */
const BATCH_RECORDS_MAX = 5_000
const BATCH_BYTES_MAX = 1024 * 1024

export class MemoryConsumer implements LogConsumer, GroupMember {
  readonly topics: readonly string[]
  readonly #parts: MemoryConsumerParts
  readonly #name: string
  readonly #group: MemoryGroup
  readonly #readers = new Map<string, PartitionReader>()
  readonly #ending = new Map<string, Promise<void>>()
  readonly #abort = new AbortController()
  #listener: LogConsumerListener | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: MemoryConsumerParts, group: string, topics: readonly string[]) {
    this.#parts = parts
    this.#name = group
    this.topics = topics
    this.#group = parts.cluster.group(group)
  }

  get joined(): boolean {
    return this.#listener !== undefined && !this.#abort.signal.aborted
  }

  async start(listener: LogConsumerListener, signal: AbortSignal): Promise<void> {
    if (this.#listener !== undefined) return
    const missing = this.#missing()
    for (const topic of missing) void tell(listener, topic)
    if (missing.length === this.topics.length) {
      await this.#parts.cluster.hasOneOf(missing, AbortSignal.any([signal, this.#abort.signal]))
    }
    if (this.#abort.signal.aborted) throw new TransientError('STOPPED', 'The consumer was stopped before it had joined its group.')
    if (this.#missing().length === this.topics.length) throw topicMissing(missing.join('", "'))
    this.#listener = listener
    this.#group.join(this)
    void this.#joinWithMore(this.#abort.signal)
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopping ??= this.#leave(deadlineMs)
    await this.#stopping
  }

  revoke(): void {
    void this.#revokeAll()
  }

  assign(generation: number, partitions: readonly TopicPartition[]): void {
    if (this.#abort.signal.aborted) return
    for (const target of partitions) this.#own(generation, target)
  }

  /** Never rejects. */
  async #joinWithMore(signal: AbortSignal): Promise<void> {
    for (let missing = this.#missing(); missing.length > 0; missing = this.#missing()) {
      await this.#parts.cluster.hasOneOf(missing, signal)
      if (signal.aborted) return
      this.#group.join(this)
    }
  }

  #missing(): string[] {
    return this.topics.filter((topic) => this.#parts.cluster.topic(topic) === undefined)
  }

  async #leave(deadlineMs: number): Promise<void> {
    this.#abort.abort()
    await endsWithin(this.#revokeAll(), deadlineMs)
    this.#group.leave(this)
  }

  #own(generation: number, target: TopicPartition): void {
    const { cluster, clock, diagnostics } = this.#parts
    const topic = cluster.topic(target.topic)
    const partition = cluster.partition(target)
    if (topic === undefined || partition === undefined || this.#listener === undefined) return
    const key = keyOf(target)
    const reader = new PartitionReader({
      partition: target,
      source: new MemorySource(topic, partition),
      listener: this.#listener,
      clock,
      onProgress: (next) => this.#commit(generation, target, next),
      onInterrupted: (error) => diagnostics?.emit('consumer.interrupted', { group: this.#name, ...target, reason: messageOf(error) }),
    })
    this.#readers.set(key, reader)
    reader.start(this.#ending.get(key))
  }

  /** The group refuses what comes from an old generation: what a zombie has done is read again by the owner. */
  #commit(generation: number, target: TopicPartition, next: bigint): void {
    this.#parts.diagnostics?.emit('offset.committing', { group: this.#name, ...target, next })
    try {
      this.#group.commit(this, generation, target, next)
    } catch (error) {
      if (!isTrunklineError(error, 'GENERATION_OLD')) throw error
    }
  }

  /** Never rejects. */
  async #revokeAll(): Promise<void> {
    for (const [key, reader] of this.#readers) {
      this.#readers.delete(key)
      const ended = Promise.allSettled([this.#ending.get(key), reader.end()]).then(() => {
        if (this.#ending.get(key) === ended) this.#ending.delete(key)
      })
      this.#ending.set(key, ended)
    }
    await Promise.allSettled(this.#ending.values())
  }
}

class MemorySource implements PartitionSource {
  readonly #topic: MemoryTopic
  readonly #partition: MemoryPartition
  #position = 0n

  constructor(topic: MemoryTopic, partition: MemoryPartition) {
    this.#topic = topic
    this.#partition = partition
  }

  async range(): Promise<PartitionRange> {
    return this.#topic.rangeOf(this.#partition)
  }

  seek(offset: bigint): void {
    this.#position = offset
  }

  pause(): void {
    // Nothing is fetched ahead: records are read when they are asked for.
  }

  async next(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    const partition = this.#partition
    this.#topic.retain(partition)
    if (this.#position > partition.end) throw positionLost(this.#position, partition)
    await partition.holds(this.#position, signal)
    signal.throwIfAborted()
    if (this.#position < partition.start) throw positionLost(this.#position, partition)
    const records = partition.read(this.#position, BATCH_RECORDS_MAX, BATCH_BYTES_MAX)
    this.#position = (records.at(-1)?.offset ?? this.#position - 1n) + 1n
    return records
  }
}

/** Never rejects, and tries once: here a topic that is missing is made by the same process. */
async function tell(listener: LogConsumerListener, topic: string): Promise<void> {
  try {
    await listener.onTopicMissing?.(topic)
  } catch {
    // The listener says itself what it could not do.
  }
}

function positionLost(position: bigint, { start, end }: MemoryPartition): TransientError {
  return new TransientError(
    'POSITION_LOST',
    `The partition was to be read from offset ${position}, but it holds ${start} to ${end}. The position is asked for again.`,
  )
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
