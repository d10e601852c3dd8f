import type { TopicPartition } from '../../core/broker/log-producer.ts'

/** The Kafka protocol names a topic once, and then its partitions. */
export function byTopic<Item extends TopicPartition>(items: readonly Item[]): ReadonlyMap<string, readonly Item[]> {
  const topics = new Map<string, Item[]>()
  for (const item of items) {
    const known = topics.get(item.topic)
    if (known === undefined) topics.set(item.topic, [item])
    else known.push(item)
  }
  return topics
}
