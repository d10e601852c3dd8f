import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError, type TrunklineError } from '../../foundation/errors.ts'
import { DamagedBatches } from '../wire/damaged-batches.ts'
import { decodeFetch, FETCH_API, type FetchedPartition, type FetchReply } from '../wire/fetch-response.ts'
import { checksumWrong } from '../wire/protocol-errors.ts'
import type { ConnectionPool, Encoded, ProtocolRequest } from './internals.ts'
import { carried } from './overrides/filters-per-record.ts'
import { takeStaleLeaders } from './overrides/rejoin-on-leader-change.ts'
import { takeOutOfRange } from './overrides/silent-offset-reset.ts'

/** Hears what the replies to fetches say of partitions, before kafkajs does. */
export interface FetchListener {
  /** Whether each partition is to be fetched, so that none waits for the end of a fetch that leaves it out. */
  readonly isReadingAll: boolean
  /** The leader answered. There is nothing to read from `end` on. */
  answered(partition: TopicPartition, end: bigint): void
  /** Nothing can be read from where it was to be. */
  lost(partition: TopicPartition, reason: TrunklineError): void
}

export interface FetchesParts {
  /** kafkajs's own check of what is left of a reply. */
  readonly parse: (reply: unknown) => Promise<unknown>
  /** Asks for the leaders of all topics again. */
  readonly refreshLeaders: () => Promise<void>
}

/** A leader that is just being elected is not asked for in a circle. */
const LEADER_PAUSE_MS = 50
/**
 * While nothing comes a fetch waits so long, at the broker: a new record ends it at once. Each costs a millisecond of our
 * CPU, since what runs four times a second is never warm: with 250 ms an idle process took 0.65 % of a core.
 */
const IDLE_WAIT_MS = 500
const NOTHING: FetchReply = { clientSideThrottleTime: 0, errorCode: 0, responses: [] }
/** Where a Fetch request says how long to wait. */
const WAIT_AT = 4
/** kafkajs's pool has one connection for fetches, and one for all else. */
const FETCH_CONNECTION = 1

/** Reads the replies to kafkajs's fetches in its place, and keeps from it what it would answer wrongly. */
export class Fetches {
  readonly #parts: FetchesParts
  readonly #damaged = new DamagedBatches()
  readonly #waiting = new Set<() => void>()
  listener: FetchListener | undefined

  constructor(parts: FetchesParts) {
    this.#parts = parts
  }

  harden(pool: ConnectionPool): void {
    const send = pool.send
    let isQuiet = false
    const fetch = async (protocol: ProtocolRequest<unknown>): Promise<unknown> => {
      const mayWait = isQuiet && this.listener?.isReadingAll === true
      const reply = await this.#answered(send.call(pool, mayWait ? waitingLonger(protocol) : protocol) as Promise<FetchReply>)
      isQuiet = isEmpty(reply)
      return await this.#hand(pool, reply)
    }
    pool.send = async function sendHardened<Reply>(protocol: ProtocolRequest<Reply>): Promise<unknown> {
      const { apiKey, apiVersion } = protocol.request
      if (apiKey !== FETCH_API.key) return await send.call(pool, protocol)
      if (apiVersion !== FETCH_API.version) throw tooOld('Fetch', '2.3')
      return await fetch({ ...protocol, response: { decode: decodeFetch, parse: async (reply) => reply } })
    }
  }

  /** kafkajs gets an empty answer to what it waits for. */
  endWaiting(): void {
    for (const end of this.#waiting) end()
  }

  #answered(replied: Promise<FetchReply>): Promise<FetchReply> {
    return new Promise((resolve, reject) => {
      const end = (): void => resolve(NOTHING)
      this.#waiting.add(end)
      void replied.then(resolve, reject).finally(() => this.#waiting.delete(end))
    })
  }

  async #hand(pool: ConnectionPool, whole: FetchReply): Promise<unknown> {
    const { reply, isStale } = takeStaleLeaders(takeOutOfRange(whole, (partition, reason) => this.listener?.lost(partition, reason)))
    for (const { topicName: topic, partitions } of whole.responses) {
      for (const fetched of partitions) this.#review(pool, topic, fetched)
    }
    if (isStale) {
      await systemClock.sleep(LEADER_PAUSE_MS)
      await this.#parts.refreshLeaders()
    }
    return await this.#parts.parse(carried(reply))
  }

  #review(pool: ConnectionPool, topic: string, { partition, errorCode, lastStableOffset, damagedAt }: FetchedPartition): void {
    if (damagedAt === undefined) {
      if (errorCode === 0) this.listener?.answered({ topic, partition }, lastStableOffset)
    } else if (this.#damaged.fetchAgain({ topic, partition }, damagedAt)) {
      // What damaged it may be on the way: the next fetch takes another one.
      pool.pool[FETCH_CONNECTION]?.socket?.destroy(new Error(`A batch at offset ${damagedAt} of ${topic}/${partition} came damaged.`))
    } else {
      this.listener?.lost({ topic, partition }, checksumWrong({ topic, partition }, damagedAt))
    }
  }
}

function waitingLonger(protocol: ProtocolRequest<unknown>): ProtocolRequest<unknown> {
  const { request } = protocol
  const encode = async (): Promise<Encoded> => {
    const encoded = await request.encode()
    encoded.buffer.writeInt32BE(IDLE_WAIT_MS, WAIT_AT)
    return encoded
  }
  return { ...protocol, request: { ...request, encode } }
}

function isEmpty({ responses }: FetchReply): boolean {
  return responses.every(({ partitions }) => partitions.every(({ errorCode, messages }) => errorCode === 0 && messages.length === 0))
}

export function tooOld(api: string, since: string): ConfigurationError {
  return new ConfigurationError(
    'KAFKA_TOO_OLD',
    `The broker's ${api} is older than Kafka ${since}, which is the oldest that works. Upgrade the cluster.`,
  )
}
