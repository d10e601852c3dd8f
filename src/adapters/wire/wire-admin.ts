import { lagOf } from '../../core/broker/lag.ts'
import type { GroupLag, LogAdmin, TopicState } from '../../core/broker/log-admin.ts'
import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { systemClock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'

export interface CommittedOffsets {
  readonly group: string
  readonly offsets: ReadonlyMap<number, bigint>
}

/** One driver's connections to the cluster as its admin needs them, made, used and thrown away as a whole. */
export interface AdminClient {
  /** @throws TransientError no broker answers */
  connect(): Promise<void>
  /** @returns how many partitions the topic has now. @throws StuckError `TOPIC_MISSING` */
  countOf(topic: string): Promise<number>
  rangeOf(partition: TopicPartition): Promise<PartitionRange>
  /** @returns whether there was none of that name */
  createTopic(spec: TopicSpec): Promise<boolean>
  /** @returns the names of all topics that are not Kafka's own, sorted */
  listTopics(): Promise<readonly string[]>
  /** @throws StuckError `TOPIC_MISSING` */
  describeTopic(name: string): Promise<TopicState>
  changeSettings(topic: string, settings: TopicSettings): Promise<void>
  raisePartitions(topic: string, partitions: number): Promise<void>
  /** @returns of the groups that have committed something of the topic, sorted by name */
  committedOf(topic: string, partitions: number): Promise<readonly CommittedOffsets[]>
  /** @returns the ids of the brokers */
  brokers(): Promise<readonly number[]>
  /** Ends politely, for a moment. Never rejects. */
  end(why: string): Promise<void>
  /** Ends now: what is in flight fails. */
  destroy(why: string): void
}

export interface WireAdminParts {
  /** @param attempt counts the clients made before */
  readonly client: (attempt: number) => AdminClient
  /** Whether a broker answered, with an error: nothing is wrong with the connection. */
  readonly isAnswer: (error: unknown) => boolean
  readonly mapError: (error: unknown) => TrunklineError
}

const READY_WITHIN_MS = 30_000
const READY_POLL_MS = 50

interface CachedClient {
  readonly client: AdminClient
  readonly connected: Promise<void>
}

/** Asks the cluster through one cached client, which is replaced whenever a request over it gets no answer. */
export class WireAdmin implements LogAdmin {
  readonly #parts: WireAdminParts
  #client: CachedClient | undefined
  #clientsMade = 0
  #closed = false

  constructor(parts: WireAdminParts) {
    this.#parts = parts
  }

  async partitionsOf(topic: string): Promise<number | undefined> {
    return await this.#unlessMissing((client) => client.countOf(topic))
  }

  async rangeOf(partition: TopicPartition): Promise<PartitionRange> {
    return await this.#ask((client) => client.rangeOf(partition))
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    const created: string[] = []
    for (const spec of specs) {
      if ((await this.partitionsOf(spec.name)) !== undefined) continue
      if (await this.#ask((client) => client.createTopic(spec))) created.push(spec.name)
    }
    await Promise.all(specs.map((spec) => this.#untilReady(spec)))
    return created
  }

  async listTopics(): Promise<readonly string[]> {
    return await this.#ask((client) => client.listTopics())
  }

  async describeTopic(name: string): Promise<TopicState | undefined> {
    return await this.#unlessMissing((client) => client.describeTopic(name))
  }

  async changeSettings(topic: string, settings: TopicSettings): Promise<void> {
    await this.#ask((client) => client.changeSettings(topic, settings))
  }

  async raisePartitions(topic: string, partitions: number): Promise<void> {
    await this.#ask((client) => client.raisePartitions(topic, partitions))
    await this.#untilReady({ name: topic, partitions })
  }

  async lagsOf(topic: string): Promise<readonly GroupLag[]> {
    const partitions = (await this.partitionsOf(topic)) ?? 0
    const ranges = await Promise.all(Array.from({ length: partitions }, (_, partition) => this.rangeOf({ topic, partition })))
    const committed = await this.#ask((client) => client.committedOf(topic, partitions))
    return committed.map(({ group, offsets }) => ({ group, lag: lagOf(offsets, ranges) }))
  }

  async brokers(): Promise<readonly number[]> {
    return await this.#ask((client) => client.brokers())
  }

  async close(): Promise<void> {
    this.#closed = true
    const client = this.#client?.client
    this.#client = undefined
    await client?.end('The admin client was closed.')
  }

  async #unlessMissing<Answer>(question: (client: AdminClient) => Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await this.#ask(question)
    } catch (error) {
      if (isTrunklineError(error, 'TOPIC_MISSING')) return undefined
      throw error
    }
  }

  async #ask<Answer>(question: (client: AdminClient) => Promise<Answer>): Promise<Answer> {
    if (this.#closed) throw closed()
    this.#client ??= connecting(this.#parts.client(this.#clientsMade++))
    const asked = this.#client
    try {
      await asked.connected
      return await question(asked.client)
    } catch (error) {
      if (this.#closed) throw closed(error)
      if (!this.#parts.isAnswer(error)) this.#discard(asked, error)
      throw this.#parts.mapError(error)
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

function connecting(client: AdminClient): CachedClient {
  const connected = client.connect()
  connected.catch(() => undefined) // heard by whoever asks
  return { client, connected }
}

function closed(cause?: unknown): TransientError {
  return new TransientError(
    'STOPPED',
    'The admin client was closed; the cluster is not asked any more. Ask before the backbone stops.',
    {},
    cause,
  )
}

function notReady({ topic, partition }: TopicPartition): TransientError {
  return new TransientError(
    'TOPIC_NOT_READY',
    `Partition ${topic}/${partition} got no leader within ${READY_WITHIN_MS / 1_000} s. Look at the brokers that are to hold its replicas.`,
    { topic, partition },
  )
}
