import type { GroupLag, LogAdmin, TopicState } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { TransientError } from '../../foundation/errors.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { type MemoryTopic, topicMissing } from './memory-topic.ts'

export class MemoryAdmin implements LogAdmin {
  readonly #cluster: MemoryCluster
  #closed = false

  constructor(cluster: MemoryCluster) {
    this.#cluster = cluster
  }

  async partitionsOf(topic: string): Promise<number | undefined> {
    return this.#open().topic(topic)?.partitions.length
  }

  async rangeOf(target: TopicPartition): Promise<PartitionRange> {
    const topic = this.#open().topic(target.topic)
    const partition = this.#cluster.partition(target)
    if (topic === undefined || partition === undefined) throw topicMissing(target.topic)
    return topic.rangeOf(partition)
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    const cluster = this.#open()
    return specs.filter((spec) => cluster.createTopic(spec)).map(({ name }) => name)
  }

  async listTopics(): Promise<readonly string[]> {
    return this.#open().topicNames()
  }

  async describeTopic(name: string): Promise<TopicState | undefined> {
    const topic = this.#open().topic(name)
    if (topic === undefined) return undefined
    return {
      id: topic.id,
      partitions: topic.partitions.length,
      replicationFactor: topic.replicationFactor,
      settings: { ...topic.settings },
    }
  }

  async changeSettings(name: string, settings: TopicSettings): Promise<void> {
    this.#topic(name).change(settings)
  }

  async raisePartitions(name: string, partitions: number): Promise<void> {
    this.#topic(name).raise(partitions)
    this.#cluster.rebalance()
  }

  async lagsOf(name: string): Promise<readonly GroupLag[]> {
    return this.#open().lagsOf(this.#topic(name))
  }

  async brokers(): Promise<readonly number[]> {
    this.#open()
    return [0]
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #open(): MemoryCluster {
    if (this.#closed)
      throw new TransientError('STOPPED', 'The admin client was closed; the log is not asked any more. Ask before the backbone stops.')
    return this.#cluster
  }

  #topic(name: string): MemoryTopic {
    const topic = this.#open().topic(name)
    if (topic === undefined) throw topicMissing(name)
    return topic
  }
}
