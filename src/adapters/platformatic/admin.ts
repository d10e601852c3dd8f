import { lagOf } from '../../core/broker/lag.ts'
import type { GroupLag, LogAdmin, TopicState } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { systemClock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf, TransientError } from '../../foundation/errors.ts'

import { PlatformaticClient } from './client.ts'
import type { KafkaAddress } from './connections.ts'
import { mapError } from './errors.ts'
import { changeSettings, committedOf, createTopic, describeTopic, listTopics, raisePartitions } from './topics.ts'

const EARLIEST = -2n
const LATEST = -1n
/** Also what is not committed yet: the end of the log is where the next record goes. */
const READ_UNCOMMITTED = 0
const NOT_A_REPLICA = -1
const UNKNOWN_EPOCH = -1
const READY_WITHIN_MS = 30_000
const READY_POLL_MS = 50

interface CachedClient {
  readonly client: PlatformaticClient
  readonly connected: Promise<void>
}

/** Asks the cluster through one cached client, which is replaced whenever a request over it gets no answer. */
export class PlatformaticAdmin implements LogAdmin {
  readonly #address: KafkaAddress
  #client: CachedClient | undefined
  #clientsMade = 0
  #closed = false

  constructor(address: KafkaAddress) {
    this.#address = address
  }

  async partitionsOf(topic: string): Promise<number | undefined> {
    try {
      return await this.#ask(async (client) => (await client.refreshTopic(topic)).leaders.length)
    } catch (error) {
      if (isTrunklineError(error, 'TOPIC_MISSING')) return undefined
      throw error
    }
  }

  async rangeOf(partition: TopicPartition): Promise<PartitionRange> {
    return await this.#ask(async (client) => {
      const [earliest, latest] = await Promise.all([offsetOf(client, partition, EARLIEST), offsetOf(client, partition, LATEST)])
      return { earliest, latest, topicId: (await client.topic(partition.topic)).id }
    })
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    const created: string[] = []
    for (const spec of specs) {
      if ((await this.partitionsOf(spec.name)) !== undefined) continue
      if (await this.#ask((client) => createTopic(client, spec))) created.push(spec.name)
    }
    await Promise.all(specs.map((spec) => this.#untilReady(spec)))
    return created
  }

  async listTopics(): Promise<readonly string[]> {
    return await this.#ask(listTopics)
  }

  async describeTopic(name: string): Promise<TopicState | undefined> {
    try {
      return await this.#ask((client) => describeTopic(client, name))
    } catch (error) {
      if (isTrunklineError(error, 'TOPIC_MISSING')) return undefined
      throw error
    }
  }

  async changeSettings(topic: string, settings: TopicSettings): Promise<void> {
    await this.#ask((client) => changeSettings(client, topic, settings))
  }

  async raisePartitions(topic: string, partitions: number): Promise<void> {
    await this.#ask((client) => raisePartitions(client, topic, partitions))
    await this.#untilReady({ name: topic, partitions })
  }

  async lagsOf(topic: string): Promise<readonly GroupLag[]> {
    const partitions = (await this.partitionsOf(topic)) ?? 0
    const ranges = await Promise.all(Array.from({ length: partitions }, (_, partition) => this.rangeOf({ topic, partition })))
    const committed = await this.#ask((client) => committedOf(client, topic, partitions))
    return committed.map(({ group, offsets }) => ({ group, lag: lagOf(offsets, ranges) }))
  }

  async brokers(): Promise<readonly number[]> {
    return await this.#ask((client) => client.refreshBrokers())
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#client?.client.destroy('The admin client was closed.')
    this.#client = undefined
  }

  async #ask<Answer>(question: (client: PlatformaticClient) => Promise<Answer>): Promise<Answer> {
    if (this.#closed) throw closed()
    this.#client ??= connecting(new PlatformaticClient(this.#address, this.#clientsMade++))
    const asked = this.#client
    try {
      await asked.connected
      return await question(asked.client)
    } catch (error) {
      if (this.#closed) throw closed(error)
      const mapped = mapError(error, this.#address.brokers)
      if (!isAnswer(mapped)) this.#discard(asked, mapped)
      throw mapped
    }
  }

  #discard(asked: CachedClient, reason: unknown): void {
    if (this.#client === asked) this.#client = undefined
    asked.client.destroy(messageOf(reason))
  }

  /** A leader in the metadata may not know of it yet; one that tells its offsets does. */
  async #untilReady({ name, partitions }: Pick<TopicSpec, 'name' | 'partitions'>): Promise<void> {
    const deadline = systemClock.monotonic() + READY_WITHIN_MS
    for (let partition = 0; partition < partitions; partition++) {
      while (!(await this.#answers({ topic: name, partition }))) {
        if (systemClock.monotonic() > deadline) throw notReady({ topic: name, partition })
        await systemClock.sleep(READY_POLL_MS)
      }
    }
  }

  async #answers(partition: TopicPartition): Promise<boolean> {
    try {
      await this.rangeOf(partition)
      return true
    } catch (error) {
      if (isTrunklineError(error, 'BROKER_UNREACHABLE') || isTrunklineError(error, 'STOPPED')) throw error
      // More partitions are asked for than an older topic has: it stays as it is.
      if (isTrunklineError(error, 'TOPIC_MISSING')) return (await this.partitionsOf(partition.topic)) !== undefined
      return false
    }
  }
}

function connecting(client: PlatformaticClient): CachedClient {
  const connected = client.connect()
  connected.catch(() => undefined) // heard by whoever asks
  return { client, connected }
}

/** Whether a broker answered: nothing is wrong with the connection. */
function isAnswer(error: unknown): boolean {
  const answers = ['TOPIC_MISSING', 'LEADER_MISSING', 'KAFKA_FAILED', 'TOPIC_SETTINGS_REFUSED', 'TOPIC_PARTITIONS_REFUSED']
  return answers.some((code) => isTrunklineError(error, code))
}

function closed(cause?: unknown): TransientError {
  return new TransientError(
    'STOPPED',
    'The admin client was closed; the cluster is not asked any more. Ask before the backbone stops.',
    {},
    cause,
  )
}

async function offsetOf(client: PlatformaticClient, { topic, partition }: TopicPartition, timestamp: bigint): Promise<bigint> {
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

function notReady({ topic, partition }: TopicPartition): TransientError {
  return new TransientError(
    'TOPIC_NOT_READY',
    `Partition ${topic}/${partition} got no leader within ${READY_WITHIN_MS / 1_000} s. Look at the brokers that are to hold its replicas.`,
    { topic, partition },
  )
}
