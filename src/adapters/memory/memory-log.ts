import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { LogDriver } from '../../core/broker/log-driver.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSpec } from '../../core/broker/topic-plan.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { type Clock, systemClock } from '../../foundation/clock.ts'
import { MemoryConsumer } from './memory-consumer.ts'
import { MemoryGroup } from './memory-group.ts'
import { MemoryProducer } from './memory-producer.ts'
import { type MemoryPartition, MemoryTopic, topicMissing } from './memory-topic.ts'

export interface MemoryDriverParts {
  readonly diagnostics?: BackboneDiagnostics
  readonly clock?: Clock
}

/**
 * A log in this process, which dies with it: topics, partitions, consumer groups, committed offsets.
 *
 * Several backbones of a process share one. It is as strict as Kafka: topics must be created, batches have Kafka's
 * default limit, members of a group share partitions, and a rebalance ends every assignment.
 */
export class MemoryLog {
  readonly #topics = new Map<string, MemoryTopic>()
  readonly #groups = new Map<string, MemoryGroup>()
  readonly #waiting = new Set<() => void>()

  /** The ports of one user of this log. */
  driver(parts: MemoryDriverParts = {}): LogDriver {
    const clock = parts.clock ?? systemClock
    return {
      producer: new MemoryProducer(this),
      consumers: { consumer: (group, topics) => new MemoryConsumer({ log: this, clock, diagnostics: parts.diagnostics }, group, topics) },
      admin: new MemoryAdmin(this),
    }
  }

  topic(name: string): MemoryTopic | undefined {
    return this.#topics.get(name)
  }

  /** @returns whether there was none of that name */
  createTopic({ name, partitions }: TopicSpec): boolean {
    if (this.#topics.has(name)) return false
    this.#topics.set(name, new MemoryTopic(partitions))
    for (const wake of [...this.#waiting]) wake()
    return true
  }

  partition({ topic, partition }: TopicPartition): MemoryPartition | undefined {
    return this.#topics.get(topic)?.partitions[partition]
  }

  group(name: string): MemoryGroup {
    const group = this.#groups.get(name) ?? new MemoryGroup()
    this.#groups.set(name, group)
    return group
  }

  /** Resolves when all of these exist, or when the signal aborts. */
  async hasTopics(names: readonly string[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted && names.some((name) => !this.#topics.has(name))) {
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
}

class MemoryAdmin implements LogAdmin {
  readonly #log: MemoryLog

  constructor(log: MemoryLog) {
    this.#log = log
  }

  async partitionsOf(topic: string): Promise<number | undefined> {
    return this.#log.topic(topic)?.partitions.length
  }

  async rangeOf(target: TopicPartition) {
    const topic = this.#log.topic(target.topic)
    const partition = this.#log.partition(target)
    if (topic === undefined || partition === undefined) throw topicMissing(target.topic)
    return topic.rangeOf(partition)
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    return specs.filter((spec) => this.#log.createTopic(spec)).map(({ name }) => name)
  }

  async brokers(): Promise<readonly number[]> {
    return [0]
  }

  async close(): Promise<void> {}
}
