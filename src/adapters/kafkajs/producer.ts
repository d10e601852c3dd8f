import type { AppendOutcome, LogProducer, LogRecord, TopicPartition } from '../../core/broker/log-producer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { backoffMs } from '../../foundation/backoff.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { PartitionBatch, PartitionReply } from '../wire/produce-body.ts'
import { type KafkaAddress, KafkajsClient } from './client.ts'
import { isStaleLeader, mapError, outcomeOfCode, refusedBeforeSend, unknownAppend } from './errors.ts'
import type { Broker } from './internals.ts'
import { produceRequest } from './produce-request.ts'

export interface KafkajsProducerParts {
  readonly address: KafkaAddress
  readonly diagnostics?: BackboneDiagnostics
}

interface WaitingAppend extends PartitionBatch {
  readonly resolve: (outcome: AppendOutcome) => void
}

const CONNECT_BACKOFF = { minMs: 100, maxMs: 2_000 }
/** The batches of one tick leave together, up to this size, which is far below a broker's limit of 100 MB a request. */
const REQUEST_BYTES_MAX = 8 * 1024 * 1024

/**
 * Appends through kafkajs's connections, with a Produce request of our own.
 *
 * kafkajs's `send` loses and doubles records when a leader moves, reports one error for all partitions of a request,
 * cannot tell an error before the send from one after it, and fails for every topic once one of them is gone. Here
 * leaders are asked for per topic, each partition has its own answer, and whatever fails after the request was handed
 * to a connection is unknown.
 */
export class KafkajsProducer implements LogProducer {
  readonly #address: KafkaAddress
  readonly #diagnostics: BackboneDiagnostics | undefined
  readonly #busy = new Set<string>()
  readonly #running = new Set<Promise<AppendOutcome>>()
  readonly #waiting = new Map<Broker, WaitingAppend[]>()
  #client: KafkajsClient | undefined
  #connecting: Promise<KafkajsClient> | undefined
  /** A client that is not connected yet. */
  #candidate: KafkajsClient | undefined
  #clientsMade = 0
  #stopped = false

  constructor(parts: KafkajsProducerParts) {
    this.#address = parts.address
    this.#diagnostics = parts.diagnostics
  }

  async start(signal: AbortSignal): Promise<void> {
    let failure: unknown
    for (let attempt = 1; !signal.aborted && !this.#stopped; attempt++) {
      try {
        await this.#connected()
        return
      } catch (error) {
        failure = error
        if (error instanceof ConfigurationError) break
        await systemClock.sleep(backoffMs(attempt, CONNECT_BACKOFF), signal)
      }
    }
    if (this.#stopped) throw stopped()
    throw mapError(failure ?? signal.reason, this.#address.brokers)
  }

  async append(target: TopicPartition, records: readonly LogRecord[]): Promise<AppendOutcome> {
    const key = `${target.topic}/${target.partition}`
    const refusal = this.#refusal(key, records)
    if (refusal !== undefined) return { status: 'refused', scope: 'cluster', reason: refusal }
    const outcome = this.#route({ topic: target.topic, partition: target.partition, records })
    this.#busy.add(key)
    this.#running.add(outcome)
    try {
      return await outcome
    } finally {
      this.#busy.delete(key)
      this.#running.delete(outcome)
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true
    this.#candidate?.destroy('The producer was stopped.')
    await endsWithin(Promise.all(this.#running), deadlineMs)
    this.#discard(this.#client, 'The producer was stopped.')
  }

  #refusal(key: string, records: readonly LogRecord[]): TrunklineError | undefined {
    if (this.#stopped) return stopped()
    if (records.length === 0) return new ConfigurationError('BATCH_EMPTY', `An empty batch for ${key} cannot be appended. Leave it out.`)
    if (!this.#busy.has(key)) return undefined
    return new ConfigurationError(
      'PARTITION_BUSY',
      `A batch for ${key} is still in flight, and a second one could overtake it. Wait for the outcome of the first.`,
    )
  }

  async #connected(): Promise<KafkajsClient> {
    if (this.#client !== undefined) return this.#client
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return await this.#connecting
  }

  async #connect(): Promise<KafkajsClient> {
    if (this.#stopped) throw stopped()
    const client = new KafkajsClient(this.#address, this.#clientsMade++)
    this.#candidate = client
    try {
      await client.connect()
      if (this.#stopped) throw stopped()
      this.#client = client
      return client
    } catch (error) {
      client.destroy(messageOf(error))
      throw error
    } finally {
      this.#candidate = undefined
    }
  }

  /** Finds the way to the leader; until the batch is handed to a connection, whatever fails means that nothing was sent. */
  async #route(batch: PartitionBatch): Promise<AppendOutcome> {
    try {
      const client = await this.#connected()
      const leader = await client.leaderOf(batch)
      return await new Promise<AppendOutcome>((resolve) => this.#enqueue(client, leader, { ...batch, resolve }))
    } catch (error) {
      return refusedBeforeSend(error, this.#address.brokers)
    }
  }

  /** What is appended in one tick for one leader leaves in one request. */
  #enqueue(client: KafkajsClient, leader: Broker, append: WaitingAppend): void {
    const waiting = this.#waiting.get(leader)
    if (waiting !== undefined) {
      waiting.push(append)
      return
    }
    const appends = [append]
    this.#waiting.set(leader, appends)
    setImmediate(() => {
      this.#waiting.delete(leader)
      for (const request of splitBySize(appends)) void this.#produce(client, leader, request)
    })
  }

  /** Never rejects: every append gets its outcome. */
  async #produce(client: KafkajsClient, leader: Broker, appends: readonly WaitingAppend[]): Promise<void> {
    if (client !== this.#client) {
      const discarded = new TransientError('CLIENT_REPLACED', 'The connection was given up before the batch was sent. It is sent again.')
      for (const append of appends) append.resolve(refusedBeforeSend(discarded, this.#address.brokers))
      return
    }
    let replies: readonly PartitionReply[]
    try {
      replies = await sendProduce(leader, appends)
    } catch (error) {
      this.#discard(client, messageOf(error))
      for (const append of appends) append.resolve(unknownAppend(append, mapError(error, this.#address.brokers)))
      return
    }
    const outcomes = appends.map((append) => this.#outcomeOf(client, append, replies))
    // The client is gone before anyone hears of the doubt: nothing of it can meet the next attempt.
    const doubtful = outcomes.find((outcome) => outcome.status === 'unknown')
    if (doubtful !== undefined) this.#discard(client, messageOf(doubtful.reason))
    appends.forEach((append, index) => {
      append.resolve(outcomes[index] ?? unknownAppend(append, 'no outcome'))
    })
  }

  /** Only what the broker answered for this very partition counts. */
  #outcomeOf(client: KafkajsClient, append: WaitingAppend, replies: readonly PartitionReply[]): AppendOutcome {
    const reply = replies.find(({ topic, partition }) => topic === append.topic && partition === append.partition)
    if (reply === undefined) return unknownAppend(append, 'The broker answered without naming this partition.')
    if (reply.errorCode === 0) return { status: 'acked', baseOffset: reply.baseOffset }
    if (isStaleLeader(reply.errorCode)) client.forgetLeaders(append.topic)
    return outcomeOfCode(append, reply.errorCode, client.errorOf(reply.errorCode))
  }

  #discard(client: KafkajsClient | undefined, reason: string): void {
    if (client === undefined || client !== this.#client) return
    this.#client = undefined
    client.destroy(reason)
    if (!this.#stopped) this.#diagnostics?.emit('producer.replaced', { reason })
  }
}

function stopped(): TransientError {
  return new TransientError('STOPPED', 'The producer was stopped; what it was given was not sent.')
}

async function sendProduce(leader: Broker, appends: readonly WaitingAppend[]): Promise<readonly PartitionReply[]> {
  return (await leader.connectionPool.send(produceRequest(appends))) as readonly PartitionReply[]
}

function splitBySize(appends: readonly WaitingAppend[]): WaitingAppend[][] {
  const requests: WaitingAppend[][] = []
  let size = REQUEST_BYTES_MAX
  for (const append of appends) {
    const bytes = byteLengthOf(append.records)
    if (size + bytes > REQUEST_BYTES_MAX) {
      requests.push([])
      size = 0
    }
    size += bytes
    requests.at(-1)?.push(append)
  }
  return requests
}

function byteLengthOf(records: readonly LogRecord[]): number {
  let bytes = 0
  for (const { key, value } of records) bytes += (key?.length ?? 0) + (value?.length ?? 0)
  return bytes
}
