import type { PartitionRange } from './log-consumer.ts'
import type { TopicPartition } from './log-producer.ts'
import type { TopicSettings, TopicSpec } from './topic-plan.ts'

/** A topic as it is. */
export interface TopicState {
  /** Another one of the same name has another id. `null` where the driver does not know it. */
  readonly id: string | null
  readonly partitions: number
  readonly replicationFactor: number
  /** What was set on the topic itself; what it takes from the brokers is not here. */
  readonly settings: TopicSettings
}

/** How many records a group has not read of a topic of which it has committed offsets. */
export interface GroupLag {
  readonly group: string
  readonly lag: bigint
}

/** Asks the cluster about topics, creates them, and changes them for operators. */
export interface LogAdmin {
  /** @returns the number of partitions; `undefined` when there is no such topic. @throws TransientError the cluster is unreachable */
  partitionsOf(topic: string): Promise<number | undefined>

  /** @returns what each partition of the topic holds. @throws TransientError the cluster is unreachable */
  rangeOf(partition: TopicPartition): Promise<PartitionRange>

  /** Creates those that are missing and leaves the others as they are. @returns the names created */
  createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]>

  /** @returns the names of all topics that are not Kafka's own, sorted */
  listTopics(): Promise<readonly string[]>

  /** @returns `undefined` when there is no such topic. @throws TransientError the cluster is unreachable */
  describeTopic(name: string): Promise<TopicState | undefined>

  /**
   * Sets these and leaves the topic's other settings as they are.
   *
   * @throws ConfigurationError Kafka does not take a setting, or does not let this service change it; none was changed
   */
  changeSettings(topic: string, settings: TopicSettings): Promise<void>

  /**
   * Gives the topic more partitions. Keys are hashed by their number, so whoever calls this has stopped the writers and
   * waited for the readers: see docs/protocols.md.
   *
   * @throws ConfigurationError it has as many or more
   */
  raisePartitions(topic: string, partitions: number): Promise<void>

  /** @returns the groups that have committed offsets of the topic, sorted by name, with what they have not read */
  lagsOf(topic: string): Promise<readonly GroupLag[]>

  /** @returns the ids of the brokers that answer. @throws TransientError none does; the message names the addresses */
  brokers(): Promise<readonly number[]>

  /** For good: what is asked from now on is refused with a TransientError. */
  close(): Promise<void>
}
