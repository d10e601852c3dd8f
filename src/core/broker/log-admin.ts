import type { PartitionRange } from './log-consumer.ts'
import type { TopicPartition } from './log-producer.ts'
import type { TopicSpec } from './topic-plan.ts'

/** Asks the cluster about topics and creates them. */
export interface LogAdmin {
  /** @returns the number of partitions; `undefined` when there is no such topic. @throws TransientError the cluster is unreachable */
  partitionsOf(topic: string): Promise<number | undefined>

  /** @returns what each partition of the topic holds. @throws TransientError the cluster is unreachable */
  rangeOf(partition: TopicPartition): Promise<PartitionRange>

  /** Creates those that are missing and leaves the others as they are. @returns the names created */
  createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]>

  /** @returns the ids of the brokers that answer. @throws TransientError none does; the message names the addresses */
  brokers(): Promise<readonly number[]>

  /** For good: what is asked from now on is refused with a TransientError. */
  close(): Promise<void>
}
