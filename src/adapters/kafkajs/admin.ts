import type { LogAdmin, TopicState } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { endsWithin } from '../../foundation/service.ts'
import { type AdminClient, type CommittedOffsets, WireAdmin } from '../wire/wire-admin.ts'
import { type KafkaAddress, KafkajsClient } from './client.ts'
import { isAnswer, mapError } from './errors.ts'
import { changeSettings, committedOf, createTopic, describeTopic, listTopics, raisePartitions } from './topics.ts'

const EARLIEST = -2
const LATEST = -1
/** Also what is not committed yet: the end of the log is where the next record goes. */
const READ_UNCOMMITTED = 0
const CLOSE_MS = 1_000

/** Asks the cluster over kafkajs's connections. */
export function kafkajsAdmin(address: KafkaAddress): LogAdmin {
  return new WireAdmin({
    client: (attempt) => new KafkajsAdminClient(new KafkajsClient(address, attempt)),
    isAnswer,
    mapError: (error) => mapError(error, address.brokers),
  })
}

class KafkajsAdminClient implements AdminClient {
  readonly #client: KafkajsClient

  constructor(client: KafkajsClient) {
    this.#client = client
  }

  connect(): Promise<void> {
    return this.#client.connect()
  }

  async countOf(topic: string): Promise<number> {
    return (await this.#client.refreshLeaders(topic)).length
  }

  async rangeOf(partition: TopicPartition): Promise<PartitionRange> {
    const [earliest, latest] = await Promise.all([this.#offsetOf(partition, EARLIEST), this.#offsetOf(partition, LATEST)])
    return { earliest, latest, topicId: null }
  }

  createTopic(spec: TopicSpec): Promise<boolean> {
    return createTopic(this.#client, spec)
  }

  listTopics(): Promise<readonly string[]> {
    return listTopics(this.#client)
  }

  async describeTopic(name: string): Promise<TopicState> {
    await this.countOf(name) // kafkajs would answer for one that is not there, with nothing
    return await describeTopic(this.#client, name)
  }

  changeSettings(topic: string, settings: TopicSettings): Promise<void> {
    return changeSettings(this.#client, topic, settings)
  }

  raisePartitions(topic: string, partitions: number): Promise<void> {
    return raisePartitions(this.#client, topic, partitions)
  }

  committedOf(topic: string): Promise<readonly CommittedOffsets[]> {
    return committedOf(this.#client, topic)
  }

  async brokers(): Promise<readonly number[]> {
    const { brokerPool } = this.#client.cluster
    await brokerPool.refreshMetadata([])
    return Object.keys(brokerPool.brokers).map(Number)
  }

  async end(why: string): Promise<void> {
    await endsWithin(this.#client.disconnect(), CLOSE_MS)
    this.destroy(why)
  }

  destroy(why: string): void {
    this.#client.destroy(why)
  }

  async #offsetOf({ topic, partition }: TopicPartition, timestamp: number): Promise<bigint> {
    const leader = await this.#client.leaderOf({ topic, partition })
    const topics = [{ topic, partitions: [{ partition, timestamp }] }]
    try {
      const { responses } = await leader.listOffsets({ isolationLevel: READ_UNCOMMITTED, topics })
      return BigInt(responses[0]?.partitions[0]?.offset ?? -1)
    } catch (error) {
      this.#client.forgetLeaders(topic)
      throw error
    }
  }
}
