import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { LogDriver } from '../../core/broker/log-driver.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSpec } from '../../core/broker/topic-plan.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { type Clock, systemClock } from '../../foundation/clock.ts'
import { MemoryCluster } from './memory-cluster.ts'
import { MemoryConsumer } from './memory-consumer.ts'
import { MemoryProducer } from './memory-producer.ts'
import { topicMissing } from './memory-topic.ts'

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
  readonly #cluster = new MemoryCluster()

  /** The ports of one user of this log. */
  driver(parts: MemoryDriverParts = {}): LogDriver {
    const cluster = this.#cluster
    const consumerParts = { cluster, clock: parts.clock ?? systemClock, diagnostics: parts.diagnostics }
    return {
      producer: new MemoryProducer(cluster),
      consumers: { consumer: (group, topics) => new MemoryConsumer(consumerParts, group, topics) },
      admin: new MemoryAdmin(cluster),
    }
  }

  /** @returns the next offset that is committed to a group; `undefined` when there is none */
  committed(group: string, partition: TopicPartition): bigint | undefined {
    return this.#cluster.group(group).committed(partition)
  }
}

class MemoryAdmin implements LogAdmin {
  readonly #cluster: MemoryCluster

  constructor(cluster: MemoryCluster) {
    this.#cluster = cluster
  }

  async partitionsOf(topic: string): Promise<number | undefined> {
    return this.#cluster.topic(topic)?.partitions.length
  }

  async rangeOf(target: TopicPartition): Promise<PartitionRange> {
    const topic = this.#cluster.topic(target.topic)
    const partition = this.#cluster.partition(target)
    if (topic === undefined || partition === undefined) throw topicMissing(target.topic)
    return topic.rangeOf(partition)
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    return specs.filter((spec) => this.#cluster.createTopic(spec)).map(({ name }) => name)
  }

  async brokers(): Promise<readonly number[]> {
    return [0]
  }

  async close(): Promise<void> {
    // Nothing is open; a log in memory answers on.
  }
}
