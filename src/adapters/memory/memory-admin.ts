import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSpec } from '../../core/broker/topic-plan.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { topicMissing } from './memory-topic.ts'

export class MemoryAdmin implements LogAdmin {
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
