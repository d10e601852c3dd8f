import type { Consumer, ConsumerCrashEvent, ConsumerGroupJoinEvent, EachBatchPayload } from 'kafkajs'
import type { LogConsumerListener, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { OffsetCommitter, type PartitionOffset } from '../../core/broker/offset-committer.ts'
import { PartitionReader } from '../../core/broker/partition-reader.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { systemClock } from '../../foundation/clock.ts'
import { messageOf, type TrunklineError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { LagWatch } from '../wire/lag-watch.ts'
import { PrefetchBudget } from '../wire/prefetch-budget.ts'
import type { KafkajsClient } from './client.ts'
import { mapError } from './errors.ts'
import type { FetchListener } from './fetches.ts'
import { MembershipWatch, SESSION_TIMEOUT_MS } from './membership-watch.ts'
import type { Carrier } from './overrides/filters-per-record.ts'
import { PartitionBuffer, type PartitionFetcher } from './partition-buffer.ts'

export interface MembershipParts {
  readonly client: KafkajsClient
  readonly group: string
  readonly topics: readonly string[]
  readonly listener: LogConsumerListener
  readonly rangeOf: (partition: TopicPartition) => Promise<PartitionRange>
  /** @returns `undefined` when there is no such topic; asked for the topics of every member when this one leads the group */
  readonly partitionsOf: (topic: string) => Promise<number | undefined>
  readonly diagnostics: BackboneDiagnostics | undefined
  /** Called when an assignment is known, also an empty one. */
  readonly onJoined: () => void
}

interface OwnedPartition {
  readonly buffer: PartitionBuffer
  readonly reader: PartitionReader
}

/** Fetches wait at most so long for new records, twice as long while nothing comes; a new record ends the wait at once. */
const FETCH_WAIT_MS = 250
/** Sent by the fetch loop, which waits for no handler. A rebalance is noticed within this time. */
const HEARTBEAT_MS = 1_000
const REBALANCE_TIMEOUT_MS = 30_000
const PARTITION_BYTES_MAX = 1024 * 1024
const RETRY = { retries: 5, initialRetryTime: 100, maxRetryTime: 2_000 }
/** Leaving has been seen to hang; after this the connections are cut. */
const LEAVE_MS_MIN = 500

/** kafkajs's settings for clients that a membership uses. */
export const MEMBERSHIP_RETRY = RETRY

/**
 * One membership in a consumer group: from joining until kafkajs gives up or we leave.
 *
 * kafkajs fetches, joins and beats the heart; where to read, what to hand over and what to commit is decided here.
 */
export class Membership implements PartitionFetcher, FetchListener {
  readonly #parts: MembershipParts
  readonly #consumer: Consumer
  readonly #owned = new Map<string, OwnedPartition>()
  readonly #ending = new Map<string, Promise<void>>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #watch = new MembershipWatch(systemClock, (error) => this.#ended.reject(error))
  readonly #lag: LagWatch
  readonly #budget = new PrefetchBudget()
  #starting: Promise<void> | undefined
  #committer: OffsetCommitter | undefined
  /** The last assignment, also while it is revoked: most of it comes back. */
  #assigned: readonly TopicPartition[] = []
  #leaving = false

  constructor(parts: MembershipParts) {
    this.#parts = parts
    this.#ended.promise.catch(() => undefined)
    const settings = {
      groupId: parts.group,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytesPerPartition: PARTITION_BYTES_MAX,
      retry: { ...RETRY, restartOnFailure: async () => false },
    }
    const { topics, partitionsOf } = parts
    this.#consumer = parts.client.consumer(settings, { topics, partitionsOf, owned: () => this.#assigned }, this)
    this.#lag = new LagWatch({
      partitions: () => [...this.#owned.values()].map(({ buffer }) => buffer),
      rangeOf: parts.rangeOf,
      onStalled: (error) => this.#ended.reject(error),
    })
  }

  /** Whether the group counts us as a member, as far as we can know. */
  get joined(): boolean {
    return this.#watch.isMember
  }

  /** Runs until kafkajs gives up, which rejects, or until `leave`. */
  async run(): Promise<void> {
    const consumer = this.#consumer
    consumer.on(consumer.events.GROUP_JOIN, (event) => this.#joined(event))
    consumer.on(consumer.events.REBALANCING, () => this.#rebalancing())
    consumer.on(consumer.events.HEARTBEAT, () => this.#watch.heard())
    consumer.on(consumer.events.FETCH_START, () => this.#watch.active())
    consumer.on(consumer.events.CRASH, (event) => this.#crash(event))
    consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0) this.#ownedOf(payload)?.buffer.passOver(BigInt(payload.lastOffset))
    })
    await consumer.connect()
    await consumer.subscribe({ topics: [...this.#parts.topics], fromBeginning: true })
    this.#watch.start()
    this.#lag.start()
    this.#starting = consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 16,
      eachBatch: (payload) => this.#take(payload),
    })
    await Promise.race([this.#starting, this.#ended.promise])
    await this.#ended.promise
  }

  /** Stops reading, waits for running batches within the deadline, commits, leaves the group. */
  async leave(deadlineMs: number): Promise<void> {
    this.#leaving = true
    this.#watch.stop()
    this.#lag.stop()
    const started = systemClock.monotonic()
    const left = (): number => Math.max(LEAVE_MS_MIN, deadlineMs - (systemClock.monotonic() - started))
    // Who leaves in the middle of joining is a member all the same, and the others would wait until its session is over.
    if (this.#starting !== undefined)
      await endsWithin(
        this.#starting.catch(() => undefined),
        left(),
      )
    await endsWithin(this.#revokeAll(), left())
    if (this.#committer !== undefined) await endsWithin(this.#committer.flush(), left())
    this.#committer?.close()
    const stopped = this.#consumer.stop().catch(() => undefined)
    // It waits for its fetch, whose answer nobody wants any more; and its disconnect would wait for the broker's.
    this.#parts.client.endFetches()
    await endsWithin(stopped, left())
    this.#parts.client.destroy('The consumer was stopped.')
    this.#ended.resolve()
  }

  /** Lets go after a crash: nobody commits or leaves any more. Resolves when no batch runs. */
  async abandon(): Promise<void> {
    this.#watch.stop()
    this.#lag.stop()
    this.#committer?.close()
    const ended = this.#revokeAll()
    this.#parts.client.destroy('The consumer is replaced.')
    await ended
  }

  async range(partition: TopicPartition): Promise<PartitionRange> {
    return await this.#parts.rangeOf(partition)
  }

  get isReadingAll(): boolean {
    for (const { buffer } of this.#owned.values()) if (!buffer.isFetching) return false
    return true
  }

  answered(partition: TopicPartition, end: bigint): void {
    this.#ownedOf(partition)?.buffer.answered(end)
  }

  lost(partition: TopicPartition, reason: TrunklineError): void {
    this.#ownedOf(partition)?.buffer.lose(reason)
  }

  seek({ topic, partition }: TopicPartition, offset: bigint): void {
    this.#inGroup(() => this.#consumer.seek({ topic, partition, offset: String(offset) }))
  }

  pause({ topic, partition }: TopicPartition): void {
    if (this.#ownedOf({ topic, partition }) === undefined) return
    this.#inGroup(() => this.#consumer.pause([{ topic, partitions: [partition] }]))
  }

  resume({ topic, partition }: TopicPartition): void {
    this.#inGroup(() => this.#consumer.resume([{ topic, partitions: [partition] }]))
  }

  /** After a crash kafkajs has no group to act in, some time before it says so; what was asked for does not matter then. */
  #inGroup(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#watch.groupLost(error)
    }
  }

  /** Runs inside kafkajs's join, before its first fetch of this generation. */
  #joined({ payload }: ConsumerGroupJoinEvent): void {
    this.#rebalancing()
    if (this.#leaving) return
    this.#watch.heard()
    this.#committer = new OffsetCommitter({
      group: this.#parts.group,
      diagnostics: this.#parts.diagnostics,
      commit: (offsets) => this.#commit(offsets),
    })
    const assigned = Object.entries(payload.memberAssignment)
    this.#assigned = assigned.flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })))
    for (const [topic, partitions] of assigned) this.#consumer.pause([{ topic, partitions: [...partitions] }])
    for (const partition of this.#assigned) this.#own(partition, this.#committer)
    this.#parts.onJoined()
  }

  #own(partition: TopicPartition, committer: OffsetCommitter): void {
    const { group, listener, diagnostics } = this.#parts
    const key = keyOf(partition)
    const buffer = new PartitionBuffer(partition, { fetcher: this, budget: this.#budget, clock: systemClock })
    const reader = new PartitionReader({
      partition,
      source: buffer,
      listener,
      clock: systemClock,
      onProgress: (next) => committer.note(partition, next),
      onInterrupted: (error) => diagnostics?.emit('consumer.interrupted', { group, ...partition, reason: messageOf(error) }),
    })
    this.#owned.set(key, { buffer, reader })
    reader.start(this.#ending.get(key))
  }

  /** The last moment at which the broker takes commits of this generation. */
  #rebalancing(): void {
    const committer = this.#committer
    this.#committer = undefined
    this.#watch.rebalancing()
    void this.#revokeAll()
    if (committer !== undefined) void committer.flush().then(() => committer.close())
  }

  /** Never rejects. */
  async #revokeAll(): Promise<void> {
    for (const [key, { reader }] of this.#owned) {
      this.#owned.delete(key)
      const before = this.#ending.get(key)
      const ended = Promise.allSettled([before, reader.end()]).then(() => {
        if (this.#ending.get(key) === ended) this.#ending.delete(key)
      })
      this.#ending.set(key, ended)
    }
    await Promise.allSettled(this.#ending.values())
  }

  #crash({ payload }: ConsumerCrashEvent): void {
    this.#ended.reject(mapError(payload.error, this.#parts.client.addresses))
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload
    const owned = this.#ownedOf(batch)
    if (owned === undefined) return
    // Our decoder made these (overrides/filters-per-record.ts), and kafkajs carries them as they are.
    const [carrier] = batch.messages as unknown as readonly Carrier[]
    if (carrier === undefined) return
    const fetchedOffset = BigInt(Reflect.get(batch, 'fetchedOffset'))
    const taken = owned.buffer.offer({ fetchedOffset, lastOffset: carrier.offset, records: carrier.records })
    if (taken) payload.resolveOffset(String(carrier.offset))
  }

  async #commit(offsets: readonly PartitionOffset[]): Promise<void> {
    await this.#consumer.commitOffsets(offsets.map(({ topic, partition, next }) => ({ topic, partition, offset: String(next) })))
  }

  #ownedOf({ topic, partition }: TopicPartition): OwnedPartition | undefined {
    return this.#owned.get(keyOf({ topic, partition }))
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
