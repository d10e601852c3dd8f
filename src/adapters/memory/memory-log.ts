import type { LogDriver } from '../../core/broker/log-driver.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { type Clock, systemClock } from '../../foundation/clock.ts'
import { MemoryAdmin } from './memory-admin.ts'
import { MemoryCluster } from './memory-cluster.ts'
import { MemoryConsumer } from './memory-consumer.ts'
import type { MemoryFaults } from './memory-faults.ts'
import { MemoryProducer } from './memory-producer.ts'
import { type MemoryPartition, topicMissing } from './memory-topic.ts'

export interface MemoryLogOptions {
  /** Where delays, lost leaders and retention take their time from. Default: the system's. */
  readonly clock?: Clock
}

export interface MemoryDriverParts {
  readonly diagnostics?: BackboneDiagnostics
  /** Default: the log's. */
  readonly clock?: Clock
}

/**
 * A log in this process, which dies with it: topics, partitions, consumer groups with generations, committed offsets.
 *
 * Several backbones of a process share one. It is as strict as Kafka: topics must be created, batches have Kafka's
 * default limit, a partition takes one batch at a time, members share partitions by subscription, a rebalance ends
 * every assignment and refuses the commits of the old one, retention and compaction leave what Kafka leaves. What can
 * go wrong with Kafka can be made to go wrong here: see {@link MemoryFaults}.
 */
export class MemoryLog {
  readonly #cluster: MemoryCluster

  constructor({ clock = systemClock }: MemoryLogOptions = {}) {
    this.#cluster = new MemoryCluster(clock)
  }

  /** Makes it misbehave, on order or by chance from a seed. */
  get faults(): MemoryFaults {
    return this.#cluster.faults
  }

  /** The ports of one user of this log. */
  driver({ diagnostics, clock = this.#cluster.clock }: MemoryDriverParts = {}): LogDriver {
    const cluster = this.#cluster
    const consumerParts = { cluster, clock, diagnostics }
    return {
      producer: new MemoryProducer({ cluster, diagnostics }),
      consumers: { consumer: (group, topics) => new MemoryConsumer(consumerParts, group, topics) },
      admin: new MemoryAdmin(cluster),
    }
  }

  /** @returns the next offset that is committed to a group; `undefined` when there is none */
  committed(group: string, partition: TopicPartition): bigint | undefined {
    return this.#cluster.group(group).committed.get(`${partition.topic}/${partition.partition}`)
  }

  /**
   * What retention does: everything below the offset is gone.
   *
   * @throws StuckError `TOPIC_MISSING`
   */
  truncate(partition: TopicPartition, before: bigint): void {
    this.#partition(partition).truncate(before)
  }

  /**
   * What retention by time does: records older than `maxAgeMs` by the log's clock are gone, up to the first that is not.
   *
   * @throws StuckError `TOPIC_MISSING`
   */
  expire(partition: TopicPartition, maxAgeMs: number): void {
    this.#partition(partition).truncateOlder(this.#cluster.clock.now() - maxAgeMs)
  }

  /**
   * What compaction does: of each key only the last record stays. The newest record of the partition stays in any case.
   *
   * @throws StuckError `TOPIC_MISSING`
   */
  compact(partition: TopicPartition): void {
    this.#partition(partition).compact()
  }

  /** What an operator does: a topic that is made again under its name is another one. */
  deleteTopic(name: string): void {
    this.#cluster.deleteTopic(name)
  }

  #partition(target: TopicPartition): MemoryPartition {
    const partition = this.#cluster.partition(target)
    if (partition === undefined) throw topicMissing(target.topic)
    return partition
  }
}
