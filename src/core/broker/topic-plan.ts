/** Settings of a topic by Kafka's names, as `cleanup.policy`. */
export type TopicSettings = Readonly<Record<string, string>>

/** A topic as code. */
export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  /** What it does not take from the brokers. */
  readonly settings?: TopicSettings
}
