import type { API, Connection, metadataV12 } from '@platformatic/kafka'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { ConfigurationError, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { freeNow } from '../../foundation/free-now.ts'
import { encodeFetch, type FetchLimits, type FetchTarget } from '../wire/fetch-request.ts'
import { decodeFetch, FETCH_API, type FetchReply } from '../wire/fetch-response.ts'
import { decodeProduce, encodeProduce, type PartitionBatch, type PartitionReply, PRODUCE_API } from '../wire/produce-body.ts'
import { partitionMissing, topicMissing } from '../wire/protocol-errors.ts'
import { BATCH_BYTES_MAX, TOPIC } from '../wire/topic-settings.ts'
import type { ProduceClient } from '../wire/wire-producer.ts'
import { Connections, type KafkaAddress, type Purpose } from './connections.ts'
import { GROUP_REFUSED, groupRefused, mapError } from './errors.ts'
import { type Library, loadLibrary } from './library.ts'

export interface TopicMetadata {
  readonly id: string
  /** The leader of each partition, −1 where there is none. */
  readonly leaders: readonly number[]
  readonly replicationFactor: number
}

const NO_LEADER = -1
const LEADER_NOT_AVAILABLE = 5
const COORDINATOR_NOT_AVAILABLE = 15
const UNKNOWN_TOPIC = 3
const GROUP = 0

/**
 * The connections to one cluster, with what they need to know of it: brokers, leaders, coordinators. Made, used and
 * thrown away as a whole: a client that is in doubt is discarded and never repaired.
 *
 * It stands on the protocol layer of `@platformatic/kafka` (connections, TLS, SASL, requests), below its producer and
 * consumer: docs/decisions/014 says why.
 */
export class PlatformaticClient implements ProduceClient<Connection> {
  readonly #address: KafkaAddress
  readonly #attempt: number
  readonly #topics = new Map<string, TopicMetadata>()
  readonly #refreshing = new Map<string, Promise<TopicMetadata>>()
  readonly #coordinators = new Map<string, number>()
  #library: Library | undefined
  #connections: Connections | undefined
  #destroyedBy: string | undefined

  /** @param attempt counts the clients made before; each starts at another address of the list */
  constructor(address: KafkaAddress, attempt = 0) {
    this.#address = address
    this.#attempt = attempt
  }

  get library(): Library {
    if (this.#library === undefined) throw notConnected()
    return this.#library
  }

  /** @throws TransientError no broker answers. @throws ConfigurationError the driver is not installed, or the brokers are too old */
  async connect(): Promise<void> {
    this.#library = await loadLibrary()
    if (this.#destroyedBy !== undefined) throw new TransientError('CLIENT_REPLACED', this.#destroyedBy)
    this.#connections = new Connections(this.#library, this.#address, this.#attempt)
    const { apiVersionsV3, clientSoftwareName, clientSoftwareVersion } = this.#library
    const { apiKeys } = await this.ask('any', apiVersionsV3.api, clientSoftwareName, clientSoftwareVersion)
    for (const { key, version } of neededApis(this.#library)) {
      if ((apiKeys.find(({ apiKey }) => apiKey === key)?.maxVersion ?? -1) < version) throw tooOld(key, version)
    }
    await this.refreshBrokers()
  }

  /** @returns the ids of the brokers. */
  async refreshBrokers(): Promise<readonly number[]> {
    await this.#metadata([])
    return [...this.#open.brokers.keys()]
  }

  /**
   * Asks a broker, any or one by its id. What the answer says of single items is in the answer, also when it is an error.
   *
   * @throws TrunklineError no answer came
   */
  async ask<Args extends unknown[], Reply>(broker: number | 'any', api: API<Args, Reply>, ...args: Args): Promise<Reply> {
    return await this.askOver('requests', broker, api, ...args)
  }

  async askOver<Args extends unknown[], Reply>(
    purpose: Purpose,
    broker: number | 'any',
    api: API<Args, Reply>,
    ...args: Args
  ): Promise<Reply> {
    return await this.#open.ask(purpose, broker, api, ...args)
  }

  /** @throws StuckError `TOPIC_MISSING` */
  async topic(name: string): Promise<TopicMetadata> {
    return this.#topics.get(name) ?? (await this.refreshTopic(name))
  }

  async refreshTopic(name: string): Promise<TopicMetadata> {
    let refreshing = this.#refreshing.get(name)
    if (refreshing === undefined) {
      refreshing = this.#metadata([name])
        .then(([topic]) => this.#remember(name, topic))
        .finally(() => this.#refreshing.delete(name))
      this.#refreshing.set(name, refreshing)
    }
    return await refreshing
  }

  forgetLeaders(topic: string): void {
    this.#topics.delete(topic)
  }

  /** @returns the id of the broker that leads. @throws TransientError `LEADER_MISSING` */
  async leaderIdOf(target: TopicPartition): Promise<number> {
    let { leaders } = await this.topic(target.topic)
    if ((leaders[target.partition] ?? NO_LEADER) < 0) leaders = (await this.refreshTopic(target.topic)).leaders
    const leader = leaders[target.partition]
    if (leader === undefined) throw partitionMissing(target, leaders.length)
    if (leader < 0) throw noLeader(target)
    return leader
  }

  async leaderOf(target: TopicPartition): Promise<Connection> {
    const leader = await this.leaderIdOf(target)
    try {
      return await this.#open.to(leader, 'requests')
    } catch (error) {
      this.forgetLeaders(target.topic)
      throw this.map(error)
    }
  }

  async batchBytesMaxOf(leader: Connection, topic: string): Promise<number | undefined> {
    const asked = { resourceType: TOPIC, resourceName: topic, configurationKeys: [BATCH_BYTES_MAX] }
    const { results } = await this.#open.askThrough(leader, this.library.describeConfigsV4.api, [asked], false, false)
    const value = results[0]?.configs.find(({ name }) => name === BATCH_BYTES_MAX)?.value
    return value === undefined || value === null ? undefined : Number(value)
  }

  async produce(leader: Connection, batches: readonly PartitionBatch[]): Promise<readonly PartitionReply[]> {
    const body = encodeProduce(batches)
    const payload = await this.#open.exchange(leader, PRODUCE_API, body)
    // The broker has read all of it. After any other end the socket may still have it, and garbage collection takes it.
    freeNow(body)
    return decodeProduce(payload).partitions
  }

  async fetch(broker: number, targets: readonly FetchTarget[], limits: FetchLimits): Promise<FetchReply> {
    const connection = await this.#open.to(broker, 'fetches')
    return await decodeFetch(await this.#open.exchange(connection, FETCH_API, encodeFetch(targets, limits)))
  }

  /** The next fetches go over new connections. */
  cutFetches(why: string): void {
    this.#connections?.cut('fetches', why)
  }

  /** @throws TransientError the cluster has none now */
  async coordinatorOf(group: string): Promise<number> {
    const known = this.#coordinators.get(group)
    if (known !== undefined) return known
    const { coordinators } = await this.ask('any', this.library.findCoordinatorV4.api, GROUP, [group])
    const [found] = coordinators
    if (found?.errorCode === GROUP_REFUSED) throw groupRefused(group, this.#address.brokers)
    if (found === undefined || found.errorCode !== 0) throw this.map(this.errorOf(found?.errorCode ?? COORDINATOR_NOT_AVAILABLE))
    if (!this.#open.brokers.has(found.nodeId)) await this.refreshBrokers()
    this.#coordinators.set(group, found.nodeId)
    return found.nodeId
  }

  forgetCoordinator(group: string): void {
    this.#coordinators.delete(group)
  }

  errorOf(code: number): Error {
    const { ProtocolError, protocolErrorsCodesById } = this.library
    return protocolErrorsCodesById[code] === undefined ? new Error(`Kafka answered with the error code ${code}`) : new ProtocolError(code)
  }

  destroy(why: string): void {
    this.#destroyedBy ??= why
    this.#connections?.end(why)
  }

  map(error: unknown): TrunklineError {
    return mapError(error, this.#address.brokers)
  }

  get #open(): Connections {
    if (this.#connections === undefined) throw notConnected()
    return this.#connections
  }

  async #metadata(topics: string[]): Promise<readonly metadataV12.MetadataResponseTopic[]> {
    const reply = await this.ask('any', this.library.metadataV12.api, topics, false, false)
    this.#open.know(new Map(reply.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }])))
    return reply.topics
  }

  #remember(name: string, topic: metadataV12.MetadataResponseTopic | undefined): TopicMetadata {
    if (topic === undefined || (topic.errorCode !== 0 && topic.errorCode !== LEADER_NOT_AVAILABLE)) {
      this.#topics.delete(name)
      throw topicMissing(name, this.errorOf(topic?.errorCode ?? UNKNOWN_TOPIC))
    }
    const leaders: number[] = []
    for (const { partitionIndex, leaderId } of topic.partitions) leaders[partitionIndex] = leaderId
    const replicationFactor = Math.max(0, ...topic.partitions.map(({ replicaNodes }) => replicaNodes.length))
    const metadata = { id: topic.topicId, leaders, replicationFactor }
    this.#topics.set(name, metadata)
    return metadata
  }
}

function neededApis({
  metadataV12,
  findCoordinatorV4,
  joinGroupV7,
  syncGroupV5,
  heartbeatV4,
  leaveGroupV4,
  offsetCommitV8,
  listOffsetsV7,
}: Library) {
  const ours = [metadataV12, findCoordinatorV4, joinGroupV7, syncGroupV5, heartbeatV4, leaveGroupV4, offsetCommitV8, listOffsetsV7]
  return [PRODUCE_API, FETCH_API, ...ours.map(({ api }) => ({ key: api.key, version: api.version }))]
}

function tooOld(key: number, version: number): ConfigurationError {
  return new ConfigurationError(
    'KAFKA_TOO_OLD',
    `The brokers do not know version ${version} of request ${key}: they are older than Kafka 3.0, which is the oldest that the driver "platformatic" works with. Upgrade the cluster, or use the driver "kafkajs".`,
  )
}

function noLeader({ topic, partition }: TopicPartition): TransientError {
  return new TransientError(
    'LEADER_MISSING',
    `Partition ${topic}/${partition} has no leader now. It can be tried again; if it lasts, look at the brokers that hold its replicas.`,
    { topic, partition },
  )
}

function notConnected(): TransientError {
  return new TransientError('BROKER_UNREACHABLE', 'The client is not connected yet. Connect it first.')
}
