import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import { systemClock } from '../../foundation/clock.ts'
import { TransientError } from '../../foundation/errors.ts'
import { DamagedBatches } from '../wire/damaged-batches.ts'
import type { FetchedPartition } from '../wire/fetch-response.ts'
import { checksumWrong, isStaleLeader } from '../wire/protocol-errors.ts'
import type { PlatformaticClient } from './client.ts'
import type { PartitionFeed } from './partition-feed.ts'

interface Asked {
  readonly feed: PartitionFeed
  readonly from: bigint
}

/** Fetches wait at most so long for new records; a new record ends the wait at once. */
const LIMITS = { waitMs: 250, bytesMax: 16 * 1024 * 1024, partitionBytesMax: 1024 * 1024 }
/** While nothing comes. What runs four times a second is never warm, and costs an idle process 0.5 % of a core. */
const IDLE_LIMITS = { ...LIMITS, waitMs: 500 }
/** Before a partition that could not be fetched is asked for again. */
const PAUSE_MS = 100
const OFFSET_OUT_OF_RANGE = 1

/**
 * Fetches for all partitions of a member: from each broker one request at a time, for those partitions that it leads
 * and that have room. A second request would wait behind the first, and with it whatever is new in its partitions.
 */
export class Fetcher {
  readonly #client: PlatformaticClient
  readonly #abort = new AbortController()
  readonly #feeds = new Set<PartitionFeed>()
  /** Partitions that wait for an answer, or for the end of a pause. */
  readonly #busy = new Set<PartitionFeed>()
  /** Brokers whose last answer held nothing. */
  readonly #quiet = new Set<number>()
  /** Brokers that have not answered yet. */
  readonly #asked = new Set<number>()
  readonly #damaged = new DamagedBatches()
  #isScheduled = false

  constructor(client: PlatformaticClient) {
    this.#client = client
  }

  add(feed: PartitionFeed): void {
    this.#feeds.add(feed)
  }

  remove(feed: PartitionFeed): void {
    this.#feeds.delete(feed)
  }

  stop(): void {
    this.#abort.abort()
    this.#feeds.clear()
  }

  /** Fetches for whoever is due, in one go: partitions that begin together share their requests. */
  wake(): void {
    if (this.#isScheduled || this.#abort.signal.aborted) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      void this.#fetchDue()
    })
  }

  /** Never rejects. */
  async #fetchDue(): Promise<void> {
    const due = [...this.#feeds].filter((feed) => feed.due !== undefined && !this.#busy.has(feed))
    for (const feed of due) this.#busy.add(feed)
    const brokers = new Map<number, PartitionFeed[]>()
    await Promise.all(due.map((feed) => this.#findLeader(feed, brokers)))
    for (const [broker, feeds] of brokers) {
      // Who comes while it is asked waits for its answer, and is asked for with the next request.
      if (this.#asked.has(broker)) for (const feed of feeds) this.#busy.delete(feed)
      else void this.#fetch(broker, feeds)
    }
  }

  /** Never rejects. */
  async #findLeader(feed: PartitionFeed, brokers: Map<number, PartitionFeed[]>): Promise<void> {
    try {
      const leader = await this.#client.leaderIdOf(feed.partition)
      brokers.set(leader, [...(brokers.get(leader) ?? []), feed])
    } catch (error) {
      this.#fail(feed, error)
    }
  }

  /** Never rejects. */
  async #fetch(broker: number, feeds: readonly PartitionFeed[]): Promise<void> {
    const asked = feeds.flatMap((feed) => (feed.due === undefined ? [] : [{ feed, from: feed.due }]))
    for (const feed of feeds) if (feed.due === undefined) this.#busy.delete(feed)
    if (asked.length === 0 || this.#abort.signal.aborted) return
    this.#asked.add(broker)
    try {
      const targets = asked.map(({ feed, from }) => ({ ...feed.partition, offset: from }))
      const { responses } = await this.#client.fetch(broker, targets, this.#mayWait(broker) ? IDLE_LIMITS : LIMITS)
      const replies = new Map(
        responses.flatMap(({ topicName, partitions }) => partitions.map((one) => [`${topicName}/${one.partition}`, one])),
      )
      this.#note(broker, replies.values())
      for (const one of asked) this.#take(one, replies.get(nameOf(one.feed)))
    } catch (error) {
      for (const { feed } of asked) {
        this.#client.forgetLeaders(feed.partition.topic)
        this.#fail(feed, error)
      }
    } finally {
      this.#asked.delete(broker)
    }
    this.wake()
  }

  /** No partition is left out of a fetch and would wait for its end. */
  #mayWait(broker: number): boolean {
    return this.#quiet.has(broker) && [...this.#feeds].every(({ due }) => due !== undefined)
  }

  #note(broker: number, replies: Iterable<FetchedPartition>): void {
    this.#quiet.add(broker)
    for (const { errorCode, messages } of replies) if (errorCode !== 0 || messages.length > 0) this.#quiet.delete(broker)
  }

  #take({ feed, from }: Asked, reply: FetchedPartition | undefined): void {
    if (reply === undefined) {
      this.#pause(feed)
    } else if (reply.errorCode === OFFSET_OUT_OF_RANGE) {
      feed.lose(from, outOfRange(feed, from))
      this.#busy.delete(feed)
    } else if (reply.errorCode !== 0) {
      if (isStaleLeader(reply.errorCode)) this.#client.forgetLeaders(feed.partition.topic)
      this.#fail(feed, this.#client.errorOf(reply.errorCode))
    } else {
      this.#offer({ feed, from }, reply)
    }
  }

  #offer({ feed, from }: Asked, reply: FetchedPartition): void {
    const end = (reply.messages.at(-1)?.offset ?? -1n) + 1n
    if (end > from) feed.offer({ from, records: readable(reply, from), next: end })
    else if (reply.damagedAt !== undefined) this.#damagedBatch({ feed, from }, reply.damagedAt)
    else if (reply.lastStableOffset <= from) feed.heard()
    // Something is there and may not be read yet: a transaction is open.
    if (end <= from && reply.highWatermark > from) this.#pause(feed)
    else this.#busy.delete(feed)
  }

  /** What damaged it may be on the way: the next fetch takes another one. */
  #damagedBatch({ feed, from }: Asked, offset: bigint): void {
    if (this.#damaged.fetchAgain(feed.partition, offset))
      this.#client.cutFetches(`A batch at offset ${offset} of ${nameOf(feed)} came damaged.`)
    else feed.lose(from, checksumWrong(feed.partition, offset))
  }

  /** What heals by itself is tried again; what does not, its listener hears. */
  #fail(feed: PartitionFeed, error: unknown): void {
    const reason = this.#client.map(error)
    if (feed.due !== undefined && !(reason instanceof TransientError)) feed.lose(feed.due, reason)
    this.#pause(feed)
  }

  #pause(feed: PartitionFeed): void {
    void systemClock.sleep(PAUSE_MS, this.#abort.signal).then(() => {
      this.#busy.delete(feed)
      this.wake()
    })
  }
}

function nameOf({ partition: { topic, partition } }: PartitionFeed): string {
  return `${topic}/${partition}`
}

/** A batch is fetched whole, also for a place in its middle. */
function readable({ messages }: FetchedPartition, from: bigint): ConsumedRecord[] {
  const records: ConsumedRecord[] = []
  for (const message of messages) {
    if (!('isControlRecord' in message) && message.offset >= from) records.push(message)
  }
  return records
}

function outOfRange({ partition: { topic, partition } }: PartitionFeed, due: bigint): TransientError {
  return new TransientError(
    'POSITION_LOST',
    `Partition ${topic}/${partition} was to be read from offset ${due}, and the log does not reach there any more. The position is asked for again.`,
    { topic, partition, due },
  )
}
