import type { AppendOutcome, LogProducer, LogRecord, TopicPartition } from '../../core/broker/log-producer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { ConfigurationError, isTrunklineError, PermanentError, TransientError, UnknownOutcomeError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { batchTooLarge } from '../wire/protocol-errors.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { type MemoryPartition, topicMissing } from './memory-topic.ts'

export interface MemoryProducerParts {
  readonly cluster: MemoryCluster
  readonly diagnostics: BackboneDiagnostics | undefined
}

const BATCH_OVERHEAD = 61
const RECORD_OVERHEAD = 12

export class MemoryProducer implements LogProducer {
  readonly #parts: MemoryProducerParts
  readonly #running = new Map<string, Promise<AppendOutcome>>()
  #stopped = false

  constructor(parts: MemoryProducerParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    if (this.#stopped) throw stopped()
  }

  async append(target: TopicPartition, records: readonly LogRecord[]): Promise<AppendOutcome> {
    const key = `${target.topic}/${target.partition}`
    if (this.#stopped) return refused('cluster', stopped())
    if (records.length === 0) return refused('cluster', batchEmpty(key))
    if (this.#running.has(key)) return refused('cluster', partitionBusy(key))
    const outcome = this.#append(target, records)
    this.#running.set(key, outcome)
    try {
      return await outcome
    } finally {
      this.#running.delete(key)
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true
    await endsWithin(Promise.all(this.#running.values()), deadlineMs)
  }

  async #append(target: TopicPartition, records: readonly LogRecord[]): Promise<AppendOutcome> {
    const { cluster, diagnostics } = this.#parts
    const topic = cluster.topic(target.topic)
    const partition = cluster.partition(target)
    if (topic === undefined || partition === undefined) return refused('topic', topicMissing(target.topic))
    const bytes = sizeOf(records)
    if (bytes > topic.batchBytesMax) return refused('record', batchTooLarge(target, bytes, topic.batchBytesMax))
    if (topic.isCompacted && records.some(({ key }) => key === null)) return refused('record', keyMissing(target))
    const fault = cluster.faults.ofAppend(target)
    if (fault.delayMs > 0) await cluster.clock.sleep(fault.delayMs)
    const leaderMissing = whyLeaderless(partition)
    if (leaderMissing !== undefined) return refused('cluster', leaderMissing)
    let baseOffset = partition.end
    for (let copy = 0; copy < fault.copies; copy++) baseOffset = partition.append(records)
    if (!fault.isReplyLost) return { status: 'acked', baseOffset }
    const reason = replyLost(target)
    diagnostics?.emit('producer.replaced', { reason: reason.message })
    return { status: 'unknown', reason }
  }
}

type Refusal = Extract<AppendOutcome, { readonly status: 'refused' }>

function refused(scope: Refusal['scope'], reason: Refusal['reason']): AppendOutcome {
  return { status: 'refused', scope, reason }
}

function whyLeaderless(partition: MemoryPartition): TransientError | undefined {
  try {
    partition.demandLeader()
    return undefined
  } catch (error) {
    if (isTrunklineError(error, 'LEADER_MISSING')) return error
    throw error
  }
}

function stopped(): TransientError {
  return new TransientError('STOPPED', 'The producer was stopped; what it was given was not sent.')
}

function batchEmpty(key: string): ConfigurationError {
  return new ConfigurationError('BATCH_EMPTY', `An empty batch for ${key} cannot be appended. Leave it out.`)
}

function partitionBusy(key: string): ConfigurationError {
  return new ConfigurationError(
    'PARTITION_BUSY',
    `A batch for ${key} is still in flight, and a second one could overtake it. Wait for the outcome of the first.`,
  )
}

function keyMissing({ topic, partition }: TopicPartition): PermanentError {
  return new PermanentError(
    'APPEND_REFUSED',
    `A batch for ${topic}/${partition} has a record without a key, and the topic is compacted by key. Give it a key.`,
    { topic, partition },
  )
}

function replyLost({ topic, partition }: TopicPartition): UnknownOutcomeError {
  return new UnknownOutcomeError(
    'APPEND_UNKNOWN',
    `It is not known whether a batch for ${topic}/${partition} reached the log: the reply was lost. Send the same batch again before any other.`,
    { topic, partition },
  )
}

function sizeOf(records: readonly LogRecord[]): number {
  let bytes = BATCH_OVERHEAD
  for (const record of records) {
    const { key, value, headers } = record
    bytes += RECORD_OVERHEAD + (key?.length ?? 0) + (value?.length ?? 0)
    for (const [name, header] of headers) bytes += Buffer.byteLength(name) + header.length
  }
  return bytes
}
