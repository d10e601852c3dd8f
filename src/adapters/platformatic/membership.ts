import type { LogConsumerListener, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { OffsetCommitter } from '../../core/broker/offset-committer.ts'
import { PartitionReader } from '../../core/broker/partition-reader.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { systemClock } from '../../foundation/clock.ts'
import { messageOf, TransientError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { LagWatch } from '../wire/lag-watch.ts'
import { PrefetchBudget } from '../wire/prefetch-budget.ts'
import type { Membership } from '../wire/supervised-consumer.ts'
import type { PlatformaticClient } from './client.ts'
import { Fetcher } from './fetcher.ts'
import { type Generation, GroupSession, type MemberIdentity } from './group-session.ts'
import { PartitionFeed } from './partition-feed.ts'

export interface PlatformaticMembershipParts {
  readonly client: PlatformaticClient
  readonly group: string
  readonly topics: readonly string[]
  readonly identity: MemberIdentity
  readonly instanceId: string | null
  readonly sessionTimeoutMs: number
  /** Whoever leads the group looks so often whether topics have more partitions. */
  readonly countMs: number
  readonly listener: LogConsumerListener
  readonly rangeOf: (partition: TopicPartition) => Promise<PartitionRange>
  readonly diagnostics: BackboneDiagnostics | undefined
  readonly onJoined: () => void
}

interface OwnedPartition {
  readonly feed: PartitionFeed
  readonly reader: PartitionReader
}

/** On a timer of its own, whatever handlers do. A rebalance is noticed within this time. */
const HEARTBEAT_MS = 1_000
/** The others wait for this member to join again; what is not committed by then is read again. */
const FLUSH_MS = 1_000

/** One membership in a consumer group, over one client. */
export class PlatformaticMembership implements Membership {
  readonly #parts: PlatformaticMembershipParts
  readonly #session: GroupSession
  readonly #fetcher: Fetcher
  readonly #owned = new Map<string, OwnedPartition>()
  readonly #ending = new Map<string, Promise<void>>()
  readonly #abort = new AbortController()
  readonly #stalled = Promise.withResolvers<never>()
  readonly #lag: LagWatch
  readonly #budget = new PrefetchBudget()
  #committer: OffsetCommitter | undefined
  #heardAt: number | undefined

  constructor(parts: PlatformaticMembershipParts) {
    this.#parts = parts
    this.#session = new GroupSession(parts)
    this.#fetcher = new Fetcher(parts.client)
    this.#stalled.promise.catch(() => undefined) // heard while it runs
    this.#lag = new LagWatch({
      partitions: () => [...this.#owned.values()].map(({ feed }) => feed),
      rangeOf: parts.rangeOf,
      onStalled: (error) => this.#stalled.reject(error),
    })
  }

  get joined(): boolean {
    return this.#heardAt !== undefined && systemClock.monotonic() - this.#heardAt < this.#parts.sessionTimeoutMs
  }

  async run(): Promise<void> {
    const { signal } = this.#abort
    this.#lag.start()
    try {
      await Promise.race([this.#beMember(signal), this.#stalled.promise])
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      this.#lag.stop()
    }
  }

  async #beMember(signal: AbortSignal): Promise<void> {
    await this.#parts.client.connect()
    while (!signal.aborted) {
      const generation = await this.#session.join(signal)
      if (signal.aborted) return
      this.#begin(generation)
      await this.#beat(generation, signal)
      if (!signal.aborted) await this.#endGeneration()
    }
  }

  async leave(deadlineMs: number): Promise<void> {
    const started = systemClock.monotonic()
    const left = (): number => Math.max(FLUSH_MS, deadlineMs - (systemClock.monotonic() - started))
    this.#abort.abort()
    await endsWithin(this.#revokeAll(), deadlineMs)
    if (this.#committer !== undefined) await endsWithin(this.#committer.flush(), left())
    this.#committer?.close()
    this.#heardAt = undefined
    await endsWithin(
      this.#session.leave().catch(() => undefined),
      left(),
    )
    this.#close('The consumer was stopped.')
  }

  async abandon(): Promise<void> {
    this.#abort.abort()
    this.#committer?.close()
    this.#heardAt = undefined
    const ended = this.#revokeAll()
    this.#close('The consumer is replaced.')
    await ended
  }

  #close(why: string): void {
    this.#fetcher.stop()
    this.#parts.client.destroy(why)
  }

  #begin(generation: Generation): void {
    const { group, diagnostics, onJoined } = this.#parts
    this.#heardAt = systemClock.monotonic()
    const committer = new OffsetCommitter({ group, diagnostics, commit: (offsets) => this.#session.commit(generation, offsets) })
    this.#committer = committer
    for (const partition of generation.assignment) this.#own(partition, committer)
    onJoined()
  }

  #own(partition: TopicPartition, committer: OffsetCommitter): void {
    const { group, listener, rangeOf, diagnostics } = this.#parts
    const key = `${partition.topic}/${partition.partition}`
    const feed = new PartitionFeed({
      partition,
      budget: this.#budget,
      clock: systemClock,
      range: () => rangeOf(partition),
      onHungry: () => this.#fetcher.wake(),
    })
    const reader = new PartitionReader({
      partition,
      source: feed,
      listener,
      clock: systemClock,
      onProgress: (next) => committer.note(partition, next),
      onInterrupted: (error) => diagnostics?.emit('consumer.interrupted', { group, ...partition, reason: messageOf(error) }),
    })
    this.#fetcher.add(feed)
    this.#owned.set(key, { feed, reader })
    reader.start(this.#ending.get(key))
  }

  /** Until the group deals out anew. @throws TransientError the coordinator was silent for a whole session */
  async #beat(generation: Generation, signal: AbortSignal): Promise<void> {
    let countedAt = systemClock.monotonic()
    while (!signal.aborted) {
      await systemClock.sleep(HEARTBEAT_MS, signal)
      if (signal.aborted) return
      const beat = await this.#heard(generation)
      if (beat === 'rebalancing') return
      if (beat === 'forgotten') return this.#committer?.close()
      if (systemClock.monotonic() - countedAt < this.#parts.countMs) continue
      countedAt = systemClock.monotonic()
      if (await this.#hasMore(generation)) return
    }
  }

  async #heard(generation: Generation): Promise<'alive' | 'rebalancing' | 'forgotten'> {
    const { sessionTimeoutMs } = this.#parts
    try {
      const beat = await this.#session.beat(generation)
      if (beat !== 'forgotten') this.#heardAt = systemClock.monotonic()
      return beat
    } catch (error) {
      // A coordinator that moves or restarts is found again; the broker counts from what it heard last.
      if (!(error instanceof TransientError) || systemClock.monotonic() - (this.#heardAt ?? 0) > sessionTimeoutMs) throw error
      return 'alive'
    }
  }

  async #hasMore({ counts }: Generation): Promise<boolean> {
    if (counts.size === 0) return false
    const now = await this.#session.countsNow(counts.keys()).catch(() => counts)
    return [...counts].some(([topic, count]) => now.get(topic) !== count)
  }

  /** The last moment at which the coordinator takes commits of this generation. */
  async #endGeneration(): Promise<void> {
    const committer = this.#committer
    this.#committer = undefined
    void this.#revokeAll()
    if (committer === undefined) return
    await endsWithin(committer.flush(), FLUSH_MS)
    committer.close()
  }

  /** Never rejects. */
  async #revokeAll(): Promise<void> {
    for (const [key, { feed, reader }] of this.#owned) {
      this.#owned.delete(key)
      this.#fetcher.remove(feed)
      const ended = Promise.allSettled([this.#ending.get(key), reader.end()]).then(() => {
        if (this.#ending.get(key) === ended) this.#ending.delete(key)
      })
      this.#ending.set(key, ended)
    }
    await Promise.allSettled(this.#ending.values())
  }
}
