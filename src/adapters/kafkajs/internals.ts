import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type {
  Admin,
  Consumer,
  ConsumerConfig,
  ISerializer,
  logCreator,
  MemberAssignment,
  MemberMetadata,
  PartitionAssigner,
  RetryOptions,
} from 'kafkajs'
import { ConfigurationError } from '../../foundation/errors.ts'
import { checkInternals } from './self-check.ts'

/** The overrides lean on what is inside this version, so no other will do. */
const KAFKAJS_VERSION = '2.2.4'

/** A request and how to read its reply, as kafkajs's connections take them. */
export interface ProtocolRequest<Reply> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    readonly expectResponse?: () => boolean
    encode(): Promise<Encoded>
  }
  readonly response: {
    decode(payload: Buffer): Promise<Reply>
    parse(reply: Reply): Promise<unknown>
  }
}

/** What a request encodes to; kafkajs's `Encoder` as far as a request needs it. */
export interface Encoded {
  readonly buf: Buffer
  readonly buffer: Buffer
}

interface InFlightRequest {
  readonly sentAt: number
  readonly requestTimeout: number
  timeoutRequest(): void
}

export interface RequestQueue {
  readonly pending: readonly unknown[]
  readonly inflight: ReadonlyMap<number, InFlightRequest>
  requestTimeoutIntervalId?: NodeJS.Timeout | undefined
  isConnected(): boolean
  scheduleCheckPendingRequests: () => void
  scheduleRequestTimeoutCheck: () => void
  sendSocketRequest: (request: unknown) => void
  push(request: QueuedRequest): void
  rejectAll(error: Error): void
  maybeThrottle(ms: number): void
  destroy: () => void
}

interface QueuedRequest {
  readonly entry: {
    readonly apiKey: number
    readonly apiName: string
    readonly apiVersion: number
    readonly correlationId: number
    readonly resolve: (reply: { readonly payload: Buffer }) => void
    readonly reject: (error: unknown) => void
  }
  readonly expectResponse: boolean
  /** `null`: as the client was told. */
  readonly requestTimeout: number | null
  sendRequest(): void
}

/** One socket after another to one broker, and what has come of a reply. */
export interface Connection {
  readonly requestQueue: RequestQueue
  readonly socket?: Socket | null
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  readonly clientId: string
  isConnected(): boolean
  isAuthenticated(): boolean
  authenticate(): Promise<void>
  failIfNotConnected(): void
  nextCorrelationId(): number
  connect: () => Promise<unknown>
  processData: (bytes: Buffer) => void
}

export interface ConnectionPool {
  readonly pool: readonly Connection[]
  /** @returns one that is connected */
  getConnectionByRequest(request: ProtocolRequest<unknown>): Promise<Connection>
  send: <Reply>(request: ProtocolRequest<Reply>) => Promise<unknown>
}

interface CoordinatorQuestion {
  readonly groupId: string
  readonly coordinatorType?: number
}

export interface Broker {
  findGroupCoordinator(question: CoordinatorQuestion): Promise<object>
  readonly nodeId: number | string
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>> | null
  readonly connectionPool: ConnectionPool
  describeConfigs(request: {
    readonly includeSynonyms: boolean
    readonly resources: readonly { readonly type: number; readonly name: string; readonly configNames: readonly string[] }[]
  }): Promise<{
    readonly resources: readonly { readonly configEntries: readonly { readonly configName: string; readonly configValue: string }[] }[]
  }>
  listOffsets(request: {
    readonly isolationLevel: number
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number; readonly timestamp: number }[]
    }[]
  }): Promise<{ readonly responses: readonly { readonly partitions: readonly { readonly offset: string }[] }[] }>
}

export interface TopicMetadata {
  readonly topic: string
  readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number }[]
}

export interface Cluster {
  readonly connectionPoolBuilder: { build: (destination?: object) => Promise<ConnectionPool> }
  readonly brokerPool: {
    readonly metadata: { readonly topicMetadata: readonly TopicMetadata[] } | null
    readonly brokers: Readonly<Record<string, Broker>>
    refreshMetadata(topics: readonly string[]): Promise<void>
    findConnectedBroker(): Promise<Broker>
  }
  connect(): Promise<void>
  disconnect: () => Promise<void>
  findGroupCoordinatorMetadata: (question: CoordinatorQuestion) => Promise<object>
  refreshMetadata(): Promise<void>
  findBroker(target: { readonly nodeId: number }): Promise<Broker>
}

interface ClusterOptions {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly ssl?: boolean | object
  readonly sasl?: object
  readonly connectionTimeout: number
  readonly requestTimeout: number
  readonly enforceRequestTimeout: boolean
  readonly logger: unknown
  readonly retry: RetryOptions
  readonly socketFactory: (args: SocketArguments) => Socket
  readonly metadataMaxAge: number
  readonly allowAutoTopicCreation: boolean
  readonly isolationLevel: number
}

export interface SocketArguments {
  readonly host: string
  readonly port: number
  readonly ssl: object | undefined
  readonly onConnect: () => void
}

/** How members and assignments are written in the group protocol. */
export interface AssignerProtocol {
  readonly MemberMetadata: ISerializer<MemberMetadata>
  readonly MemberAssignment: ISerializer<MemberAssignment>
}

export interface Kafkajs {
  readonly Cluster: new (options: ClusterOptions) => Cluster
  readonly createConsumer: (options: ConsumerConfig & { readonly cluster: Cluster; readonly logger: unknown }) => Consumer
  readonly createAdmin: (options: { readonly cluster: Cluster; readonly logger: unknown; readonly retry: RetryOptions }) => Admin
  readonly createLogger: (options: { readonly level: number; readonly logCreator: logCreator }) => unknown
  readonly createSocket: (args: SocketArguments) => Socket
  /** Makes the error that kafkajs throws for a code of the protocol. */
  readonly createErrorFromCode: (code: number) => Error
  readonly parseFetch: (reply: unknown) => Promise<unknown>
  readonly assignerProtocol: AssignerProtocol
  /** kafkajs's own way to share partitions, for groups in which not every member is ours. */
  readonly roundRobin: PartitionAssigner
}

/**
 * The parts of kafkajs that we build on, below its client class: connections, metadata, the group protocol.
 *
 * kafkajs has no `exports` map, so its files can be required. We change instances that we made and never a
 * prototype or a module: an application that uses kafkajs beside us gets it as it is.
 *
 * @throws ConfigurationError `KAFKAJS_VERSION`: another version is installed; `KAFKAJS_CHANGED`: it is not as it was released
 */
export function loadKafkajs(require: NodeJS.Require = createRequire(import.meta.url)): Kafkajs {
  const { version }: { version: string } = require('kafkajs/package.json')
  if (version !== KAFKAJS_VERSION) {
    throw new ConfigurationError(
      'KAFKAJS_VERSION',
      `kafkajs ${version} is installed, but Trunkline corrects defects inside kafkajs ${KAFKAJS_VERSION} and knows no other. ` +
        `Run "npm install kafkajs@${KAFKAJS_VERSION}", or remove the override of its version.`,
      { installed: version, needed: KAFKAJS_VERSION },
    )
  }
  checkInternals(require)
  return {
    Cluster: require('kafkajs/src/cluster'),
    createConsumer: require('kafkajs/src/consumer'),
    createAdmin: require('kafkajs/src/admin'),
    createLogger: require('kafkajs/src/loggers').createLogger,
    createSocket: require('kafkajs/src/network/socketFactory')(),
    createErrorFromCode: require('kafkajs/src/protocol/error').createErrorFromCode,
    parseFetch: require('kafkajs/src/protocol/requests/fetch/v11/response').parse,
    assignerProtocol: require('kafkajs/src/consumer/assignerProtocol'),
    roundRobin: require('kafkajs/src/consumer/assigners').roundRobin,
  }
}
