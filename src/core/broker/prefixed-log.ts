import type { TrunklineError } from '../../foundation/errors.ts'
import type { LogAdmin } from './log-admin.ts'
import type { ConsumedBatch, LogConsumer, LogConsumerListener, PartitionRange } from './log-consumer.ts'
import type { LogDriver } from './log-driver.ts'
import type { LogProducer, TopicPartition } from './log-producer.ts'

/**
 * The same log under other names: every topic and group gets a prefix in the cluster and has none here.
 *
 * So several environments, or several runs of a test, share one cluster without reading each other's messages.
 */
export function prefixedLog(driver: LogDriver, prefix: string): LogDriver {
  if (prefix === '') return driver
  const producer: LogProducer = {
    start: (signal) => driver.producer.start(signal),
    append: (target, records) => driver.producer.append(outside(target, prefix), records),
    stop: (deadlineMs) => driver.producer.stop(deadlineMs),
  }
  const admin: LogAdmin = {
    partitionsOf: (topic) => driver.admin.partitionsOf(prefix + topic),
    rangeOf: (partition) => driver.admin.rangeOf(outside(partition, prefix)),
    createTopics: async (specs) => {
      const created = await driver.admin.createTopics(specs.map((spec) => ({ ...spec, name: prefix + spec.name })))
      return created.map((name) => name.slice(prefix.length))
    },
    listTopics: async () => inside(await driver.admin.listTopics(), prefix),
    describeTopic: (name) => driver.admin.describeTopic(prefix + name),
    changeSettings: (topic, settings) => driver.admin.changeSettings(prefix + topic, settings),
    raisePartitions: (topic, partitions) => driver.admin.raisePartitions(prefix + topic, partitions),
    lagsOf: async (topic) => (await driver.admin.lagsOf(prefix + topic)).map(({ group, lag }) => ({ group: without(group, prefix), lag })),
    brokers: () => driver.admin.brokers(),
    close: () => driver.admin.close(),
  }
  const consumer = (group: string, topics: readonly string[]): LogConsumer => {
    const inner = driver.consumers.consumer(
      prefix + group,
      topics.map((topic) => prefix + topic),
    )
    return {
      get joined() {
        return inner.joined
      },
      start: (listener, signal) => inner.start(new InsideListener(listener, prefix), signal),
      stop: (deadlineMs) => inner.stop(deadlineMs),
    }
  }
  return { producer, admin, consumers: { consumer } }
}

class InsideListener implements LogConsumerListener {
  readonly #listener: LogConsumerListener
  readonly #prefix: string

  constructor(listener: LogConsumerListener, prefix: string) {
    this.#listener = listener
    this.#prefix = prefix
  }

  onAssigned(partition: TopicPartition, range: PartitionRange): Promise<bigint> {
    return this.#listener.onAssigned(this.#inside(partition), range)
  }

  onBatch(batch: ConsumedBatch, signal: AbortSignal): Promise<bigint> {
    return this.#listener.onBatch({ ...this.#inside(batch), records: batch.records }, signal)
  }

  onRevoked(partition: TopicPartition): void {
    this.#listener.onRevoked(this.#inside(partition))
  }

  async onTopicMissing(topic: string): Promise<void> {
    await this.#listener.onTopicMissing?.(topic.slice(this.#prefix.length))
  }

  async onPartitionStuck(partition: TopicPartition, reason: TrunklineError): Promise<void> {
    await this.#listener.onPartitionStuck?.(this.#inside(partition), reason)
  }

  onFailure(error: unknown): void {
    this.#listener.onFailure(error)
  }

  #inside({ topic, partition }: TopicPartition): TopicPartition {
    return { topic: topic.slice(this.#prefix.length), partition }
  }
}

function outside({ topic, partition }: TopicPartition, prefix: string): TopicPartition {
  return { topic: prefix + topic, partition }
}

function inside(names: readonly string[], prefix: string): string[] {
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
}

/** Groups of others read our topics too, and keep their names. */
function without(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name
}
