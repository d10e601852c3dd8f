import type { LogAdmin, TopicState } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { type AdminClient, type CommittedOffsets, WireAdmin } from '../wire/wire-admin.ts'
import { PlatformaticClient } from './client.ts'
import type { KafkaAddress } from './connections.ts'
import { isAnswer, mapError } from './errors.ts'
import { changeSettings, committedOf, createTopic, describeTopic, listTopics, raisePartitions } from './topics.ts'

const EARLIEST = -2n
const LATEST = -1n
/** Also what is not committed yet: the end of the log is where the next record goes. */
const READ_UNCOMMITTED = 0
const NOT_A_REPLICA = -1
const UNKNOWN_EPOCH = -1

/** Asks the cluster over the connections of `@platformatic/kafka`. */
export function platformaticAdmin(address: KafkaAddress): LogAdmin {
  const map = (error: unknown): ReturnType<typeof mapError> => mapError(error, address.brokers)
  return new WireAdmin({
    client: (attempt) => new PlatformaticAdminClient(new PlatformaticClient(address, attempt)),
    isAnswer: (error) => isAnswer(map(error)),
    mapError: map,
  })
}

class PlatformaticAdminClient implements AdminClient {
  readonly #client: PlatformaticClient

  constructor(client: PlatformaticClient) {
    this.#client = client
  }

  connect(): Promise<void> {
    return this.#client.connect()
  }

  async countOf(topic: string): Promise<number> {
    return (await this.#client.refreshTopic(topic)).leaders.length
  }

  async rangeOf(partition: TopicPartition): Promise<PartitionRange> {
    const [earliest, latest] = await Promise.all([this.#offsetOf(partition, EARLIEST), this.#offsetOf(partition, LATEST)])
    return { earliest, latest, topicId: (await this.#client.topic(partition.topic)).id }
  }

  createTopic(spec: TopicSpec): Promise<boolean> {
    return createTopic(this.#client, spec)
  }

  listTopics(): Promise<readonly string[]> {
    return listTopics(this.#client)
  }

  describeTopic(name: string): Promise<TopicState> {
    return describeTopic(this.#client, name)
  }

  changeSettings(topic: string, settings: TopicSettings): Promise<void> {
    return changeSettings(this.#client, topic, settings)
  }

  raisePartitions(topic: string, partitions: number): Promise<void> {
    return raisePartitions(this.#client, topic, partitions)
  }

  committedOf(topic: string, partitions: number): Promise<readonly CommittedOffsets[]> {
    return committedOf(this.#client, topic, partitions)
  }

  brokers(): Promise<readonly number[]> {
    return this.#client.refreshBrokers()
  }

  async end(why: string): Promise<void> {
    this.destroy(why)
  }

  destroy(why: string): void {
    this.#client.destroy(why)
  }

  async #offsetOf({ topic, partition }: TopicPartition, timestamp: bigint): Promise<bigint> {
    const client = this.#client
    const leader = await client.leaderIdOf({ topic, partition })
    const asked = [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch: UNKNOWN_EPOCH, timestamp }] }]
    try {
      const { topics } = await client.ask(leader, client.library.listOffsetsV7.api, NOT_A_REPLICA, READ_UNCOMMITTED, asked)
      const found = topics[0]?.partitions[0]
      if (found === undefined || found.errorCode !== 0) throw client.map(client.errorOf(found?.errorCode ?? -1))
      return found.offset
    } catch (error) {
      client.forgetLeaders(topic)
      throw error
    }
  }
}
