import type { AppendOutcome, LogProducer, LogRecord, TopicPartition } from '../../core/broker/log-producer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { backoffMs } from '../../foundation/backoff.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { type Compression, compressBatch } from './compress-batch.ts'
import { type BatchMeasure, measureBatch, type PartitionBatch, type PartitionReply } from './produce-body.ts'
import { isStaleLeader, isTooLarge, outcomeOfCode, refusedBeforeSend, unknownAppend } from './protocol-errors.ts'
import { TopicLimits } from './topic-limits.ts'

/** One driver's connections to the cluster, made, used and thrown away as a whole. */
export interface ProduceClient<Leader> {
  /** @throws TransientError no broker answers */
  connect(): Promise<void>
  /** @returns the way to the leader. @throws TrunklineError there is none; nothing was sent */
  leaderOf(target: TopicPartition): Promise<Leader>
  forgetLeaders(topic: string): void
  /** @returns the largest batch that the topic takes; `undefined` where the leader does not tell it to this service */
  batchBytesMaxOf(leader: Leader, topic: string): Promise<number | undefined>
  /** Hands one request to the leader's connection. Whatever it throws, the request may have arrived. */
  produce(leader: Leader, batches: readonly PartitionBatch[]): Promise<readonly PartitionReply[]>
  errorOf(code: number): Error
  /** Ends now: what is in flight fails. */
  destroy(why: string): void
}

export interface WireProducerParts<Leader> {
  /** @param attempt counts the clients made before */
  readonly client: (attempt: number) => ProduceClient<Leader>
  readonly mapError: (error: unknown) => TrunklineError
  readonly diagnostics: BackboneDiagnostics | undefined
  /** Default: none. */
  readonly compression?: Compression | undefined
}

interface WaitingAppend extends PartitionBatch {
  readonly measured: BatchMeasure
  readonly resolve: (outcome: AppendOutcome) => void
}

const CONNECT_BACKOFF = { minMs: 100, maxMs: 2_000 }
/** The batches of one tick leave together, up to this size, which is far below a broker's limit of 100 MB a request. */
const REQUEST_BYTES_MAX = 8 * 1024 * 1024

/**
 * Appends with Produce requests of our own over a driver's connections.
 *
 * Clients' own `send` loses and doubles records when a leader moves, reports one error for all partitions of a request,
 * cannot tell an error before the send from one after it, or fails for every topic once one of them is gone. Here
 * leaders are asked for per topic, each partition has its own answer, and whatever fails after the request was handed
 * to a connection is unknown: then the client is thrown away before anybody hears of it.
 */
export class WireProducer<Leader> implements LogProducer {
  readonly #parts: WireProducerParts<Leader>
  readonly #busy = new Set<string>()
  readonly #running = new Set<Promise<AppendOutcome>>()
  readonly #waiting = new Map<Leader, WaitingAppend[]>()
  readonly #limits = new TopicLimits()
  #client: ProduceClient<Leader> | undefined
  #connecting: Promise<ProduceClient<Leader>> | undefined
  /** A client that is not connected yet. */
  #candidate: ProduceClient<Leader> | undefined
  #clientsMade = 0
  #stopped = false

  constructor(parts: WireProducerParts<Leader>) {
    this.#parts = parts
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
    throw this.#parts.mapError(failure ?? signal.reason)
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

  async #connected(): Promise<ProduceClient<Leader>> {
    if (this.#client !== undefined) return this.#client
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return await this.#connecting
  }

  async #connect(): Promise<ProduceClient<Leader>> {
    if (this.#stopped) throw stopped()
    const client = this.#parts.client(this.#clientsMade++)
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
  async #route({ topic, partition, records }: PartitionBatch): Promise<AppendOutcome> {
    const { compression = 'none' } = this.#parts
    try {
      const encoded = compression === 'none' ? {} : { encoded: await compressBatch(records, compression) }
      const measured = measureBatch({ topic, partition, records, ...encoded })
      const batch = { topic, partition, records, ...encoded, measured }
      const client = await this.#connected()
      const leader = await client.leaderOf(batch)
      const tooLarge = await this.#limits.refusal(batch, measured.bytes, () => client.batchBytesMaxOf(leader, topic))
      if (tooLarge !== undefined) return { status: 'refused', scope: 'record', reason: tooLarge }
      return await new Promise<AppendOutcome>((resolve) => this.#enqueue(client, leader, { ...batch, resolve }))
    } catch (error) {
      return refusedBeforeSend(this.#parts.mapError(error))
    }
  }

  /** What is appended in one tick for one leader leaves in one request. */
  #enqueue(client: ProduceClient<Leader>, leader: Leader, append: WaitingAppend): void {
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
  async #produce(client: ProduceClient<Leader>, leader: Leader, appends: readonly WaitingAppend[]): Promise<void> {
    if (client !== this.#client) {
      const discarded = new TransientError('CLIENT_REPLACED', 'The connection was given up before the batch was sent. It is sent again.')
      for (const append of appends) append.resolve(refusedBeforeSend(discarded))
      return
    }
    let replies: readonly PartitionReply[]
    try {
      replies = await client.produce(leader, appends)
    } catch (error) {
      this.#discard(client, messageOf(error))
      for (const append of appends) append.resolve(unknownAppend(append, this.#parts.mapError(error)))
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
  #outcomeOf(client: ProduceClient<Leader>, append: WaitingAppend, replies: readonly PartitionReply[]): AppendOutcome {
    const reply = replies.find(({ topic, partition }) => topic === append.topic && partition === append.partition)
    if (reply === undefined) return unknownAppend(append, 'The broker answered without naming this partition.')
    if (reply.errorCode === 0) return { status: 'acked', baseOffset: reply.baseOffset }
    if (isStaleLeader(reply.errorCode)) client.forgetLeaders(append.topic)
    if (isTooLarge(reply.errorCode)) this.#limits.forget(append.topic)
    return outcomeOfCode(append, reply.errorCode, client.errorOf(reply.errorCode))
  }

  #discard(client: ProduceClient<Leader> | undefined, reason: string): void {
    if (client === undefined || client !== this.#client) return
    this.#client = undefined
    client.destroy(reason)
    if (!this.#stopped) this.#parts.diagnostics?.emit('producer.replaced', { reason })
  }
}

function stopped(): TransientError {
  return new TransientError('STOPPED', 'The producer was stopped; what it was given was not sent.')
}

function splitBySize(appends: readonly WaitingAppend[]): WaitingAppend[][] {
  const requests: WaitingAppend[][] = []
  let size = REQUEST_BYTES_MAX
  for (const append of appends) {
    const { bytes } = append.measured
    if (size + bytes > REQUEST_BYTES_MAX) {
      requests.push([])
      size = 0
    }
    size += bytes
    requests.at(-1)?.push(append)
  }
  return requests
}
