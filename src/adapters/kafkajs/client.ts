import type { Socket } from 'node:net'
import type { Admin, Consumer, ConsumerConfig, LogEntry, RetryOptions } from 'kafkajs'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { Logger } from '../../core/logger.ts'
import { messageOf, TransientError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { KafkaLogin } from '../wire/kafka-login.ts'
import { PROBED_AFTER_MS } from '../wire/keep-alive.ts'
import { type PartitionBatch, type PartitionReply, PRODUCE_API } from '../wire/produce-body.ts'
import { partitionMissing, topicMissing } from '../wire/protocol-errors.ts'
import { BATCH_BYTES_MAX, TOPIC } from '../wire/topic-settings.ts'
import type { ProduceClient } from '../wire/wire-producer.ts'
import { isUnknownTopic, mapError } from './errors.ts'
import { Fetches, type FetchListener, tooOld } from './fetches.ts'
import { type Broker, type Cluster, type Kafkajs, loadKafkajs } from './internals.ts'
import { sendUncopied } from './overrides/copied-requests.ts'
import { removeIdleTimerSpin } from './overrides/idle-timer-spin.ts'
import { separateConnections } from './overrides/replies-across-connections.ts'
import { fairAssigner, type SubscriptionParts } from './overrides/starving-assigner.ts'
import { tellCoordinatorErrors } from './overrides/swallowed-coordinator-errors.ts'
import { produceRequest } from './produce-request.ts'

export interface KafkaAddress {
  readonly brokers: readonly string[]
  readonly clientId: string
  /** TLS: `true`, or Node's TLS options. */
  readonly ssl?: boolean | object | undefined
  readonly sasl?: KafkaLogin | undefined
  /** Gets kafkajs's own warnings, as debug lines: what matters of them we report ourselves. */
  readonly logger?: Logger
}

export interface ClientSettings {
  /** How kafkajs itself tries again, where nothing is lost or doubled by it. Default: it does not. */
  readonly retry?: RetryOptions
  /** How old kafkajs lets its metadata become, by which its consumer notices new partitions. */
  readonly metadataAgeMs?: number
}

const CONNECTION_TIMEOUT_MS = 3_000
const REQUEST_TIMEOUT_MS = 30_000
const METADATA_AGE_MS = 300_000
const DISCONNECT_MS_MAX = 5_000
const LOG_WARNINGS = 2
const READ_COMMITTED = 1
/** Retrying is our decision: kafkajs's would hide whether something was sent. */
const NO_RETRIES = { retries: 0, initialRetryTime: 100 }

/**
 * One kafkajs cluster with its connections: made, used and thrown away as a whole.
 *
 * A client that is in doubt is discarded and never repaired.
 */
export class KafkajsClient implements ProduceClient<Broker> {
  readonly #address: KafkaAddress
  readonly #kafkajs: Kafkajs
  readonly #logger: unknown
  readonly #sockets = new Set<Socket>()
  readonly #fetches: Fetches
  readonly #leaders = new Map<string, readonly number[]>()
  readonly #refreshing = new Map<string, Promise<readonly number[]>>()
  #destroyedBy: string | undefined
  #lastRefresh: Promise<unknown> = Promise.resolve()
  readonly cluster: Cluster

  /**
   * @param attempt counts the clients made before; each starts at another address of the list
   */
  constructor(address: KafkaAddress, attempt = 0, { retry = NO_RETRIES, metadataAgeMs = METADATA_AGE_MS }: ClientSettings = {}) {
    this.#address = address
    this.#kafkajs = loadKafkajs()
    this.#logger = this.#kafkajs.createLogger({
      level: address.logger === undefined ? 0 : LOG_WARNINGS,
      logCreator: () => (entry) => logLine(address.logger, entry),
    })
    this.cluster = new this.#kafkajs.Cluster({
      brokers: address.brokers.map((_, index, all) => all[(index + attempt) % all.length] ?? ''),
      clientId: address.clientId,
      ...(address.ssl === undefined ? {} : { ssl: address.ssl }),
      ...(address.sasl === undefined ? {} : { sasl: loginOf(address.sasl) }),
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      enforceRequestTimeout: true,
      metadataMaxAge: metadataAgeMs,
      allowAutoTopicCreation: false,
      isolationLevel: READ_COMMITTED,
      retry,
      logger: this.#logger,
      socketFactory: (socketArguments) => this.#remember(this.#kafkajs.createSocket(socketArguments)),
    })
    const refreshLeaders = (): Promise<void> => this.cluster.refreshMetadata()
    this.#fetches = new Fetches({ parse: this.#kafkajs.parseFetch, refreshLeaders })
    this.#hardenConnections()
    this.#hardenDisconnect()
    tellCoordinatorErrors(this.cluster)
  }

  get addresses(): readonly string[] {
    return this.#address.brokers
  }

  /** @throws TransientError no broker answers */
  async connect(): Promise<void> {
    try {
      await this.cluster.connect()
    } catch (error) {
      throw mapError(error, this.addresses)
    }
  }

  /**
   * kafkajs's own consumer on this client; partitions are shared out by our assigner, or kafkajs's where others of the
   * group know no other.
   */
  consumer(config: ConsumerConfig, subscription: SubscriptionParts, listener: FetchListener): Consumer {
    this.#fetches.listener = listener
    const { assignerProtocol, roundRobin, createConsumer } = this.#kafkajs
    const partitionAssigners = [fairAssigner(assignerProtocol, subscription), roundRobin]
    return createConsumer({ ...config, partitionAssigners, cluster: this.cluster, logger: this.#logger })
  }

  /** The consumer is to end, and gets an empty answer to the fetch that it waits for. */
  endFetches(): void {
    this.#fetches.endWaiting()
  }

  /** kafkajs's own admin on this client, without retries. */
  admin(): Admin {
    return this.#kafkajs.createAdmin({ cluster: this.cluster, logger: this.#logger, retry: NO_RETRIES })
  }

  errorOf(code: number): Error {
    return this.#kafkajs.createErrorFromCode(code)
  }

  /** @returns the leader of each partition, −1 where there is none. @throws StuckError `TOPIC_MISSING` */
  async leadersOf(topic: string): Promise<readonly number[]> {
    return this.#leaders.get(topic) ?? (await this.refreshLeaders(topic))
  }

  async refreshLeaders(topic: string): Promise<readonly number[]> {
    let refreshing = this.#refreshing.get(topic)
    if (refreshing === undefined) {
      // One after another: kafkajs keeps only the answer of the last refresh.
      refreshing = this.#lastRefresh.then(() => this.#fetchLeaders(topic)).finally(() => this.#refreshing.delete(topic))
      this.#refreshing.set(topic, refreshing)
      this.#lastRefresh = refreshing.catch(() => undefined)
    }
    return await refreshing
  }

  forgetLeaders(topic: string): void {
    this.#leaders.delete(topic)
  }

  /** @returns the connected leader. @throws TransientError there is none, or it cannot be reached */
  async leaderOf(target: TopicPartition): Promise<Broker> {
    let leaders = await this.leadersOf(target.topic)
    if ((leaders[target.partition] ?? -1) < 0) leaders = await this.refreshLeaders(target.topic)
    const nodeId = leaders[target.partition]
    if (nodeId === undefined) throw partitionMissing(target, leaders.length)
    if (nodeId < 0) throw noLeader(target)
    try {
      const broker = await this.cluster.findBroker({ nodeId })
      requireApi(broker, PRODUCE_API, 'Produce', '2.1')
      return broker
    } catch (error) {
      this.forgetLeaders(target.topic)
      throw mapError(error, this.addresses)
    }
  }

  async batchBytesMaxOf(leader: Broker, topic: string): Promise<number | undefined> {
    const resources = [{ type: TOPIC, name: topic, configNames: [BATCH_BYTES_MAX] }]
    const { resources: told } = await leader.describeConfigs({ resources, includeSynonyms: false })
    const value = told[0]?.configEntries.find(({ configName }) => configName === BATCH_BYTES_MAX)?.configValue
    return value === undefined ? undefined : Number(value)
  }

  async produce(leader: Broker, batches: readonly PartitionBatch[]): Promise<readonly PartitionReply[]> {
    return (await leader.connectionPool.send(produceRequest(batches))) as readonly PartitionReply[]
  }

  /** Ends politely: what is in flight is answered first, for some seconds. Never rejects. */
  async disconnect(): Promise<void> {
    await this.cluster.disconnect()
  }

  /** Ends now: connections are cut, what is in flight fails, and no new connection lives. */
  destroy(why: string): void {
    this.#destroyedBy ??= why
    for (const socket of this.#sockets) socket.destroy(new Error(why))
    this.#sockets.clear()
  }

  async #fetchLeaders(topic: string): Promise<readonly number[]> {
    try {
      await this.cluster.brokerPool.refreshMetadata([topic])
    } catch (error) {
      this.forgetLeaders(topic)
      throw isUnknownTopic(error) ? topicMissing(topic, error) : mapError(error, this.addresses)
    }
    const metadata = this.cluster.brokerPool.metadata?.topicMetadata.find((candidate) => candidate.topic === topic)
    if (metadata === undefined) throw topicMissing(topic)
    const leaders: number[] = []
    for (const { partitionId, leader } of metadata.partitionMetadata) leaders[partitionId] = leader
    this.#leaders.set(topic, leaders)
    return leaders
  }

  #remember(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.setNoDelay(true)
    socket.setKeepAlive(true, PROBED_AFTER_MS)
    // kafkajs connects again on its own when it misses a connection.
    if (this.#destroyedBy !== undefined) socket.destroy(new Error(this.#destroyedBy))
    return socket
  }

  /** Every connection of a cluster comes from this one builder. */
  #hardenConnections(): void {
    const builder = this.cluster.connectionPoolBuilder
    const build = builder.build
    builder.build = async (destination) => {
      const pool = await build(destination)
      for (const connection of pool.pool) {
        removeIdleTimerSpin(connection.requestQueue)
        separateConnections(connection)
      }
      this.#fetches.harden(pool)
      sendUncopied(pool)
      return pool
    }
  }

  /** kafkajs awaits this before it says that its consumer crashed: a rejection would end the process, a hang would hide the crash. */
  #hardenDisconnect(): void {
    const { cluster } = this
    const disconnect = cluster.disconnect
    cluster.disconnect = async () => {
      await endsWithin(
        disconnect.call(cluster).catch(() => undefined),
        DISCONNECT_MS_MAX,
      )
    }
  }
}

/** As kafkajs takes it. */
function loginOf(login: KafkaLogin): object {
  if (login.mechanism !== 'oauthbearer') return login
  const { mechanism, token } = login
  return { mechanism, oauthBearerProvider: async () => ({ value: await token() }) }
}

function requireApi(broker: Broker, api: { key: number; version: number }, name: string, since: string): void {
  if ((broker.versions?.[api.key]?.maxVersion ?? 0) < api.version) throw tooOld(name, since)
}

function noLeader(target: TopicPartition): TransientError {
  return new TransientError(
    'LEADER_MISSING',
    `Partition ${target.topic}/${target.partition} has no leader now. It can be tried again; if it lasts, look at the brokers that hold its replicas.`,
    { topic: target.topic, partition: target.partition },
  )
}

function logLine(logger: Logger | undefined, entry: LogEntry): void {
  const { message, ...fields } = entry.log
  logger?.debug({ part: entry.namespace, ...fields }, `kafkajs: ${messageOf(message)}`)
}
