import type { AppendOutcome, LogProducer, LogRecord, TopicPartition } from '../../core/broker/log-producer.ts'
import { ConfigurationError, PermanentError, TransientError } from '../../foundation/errors.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { topicMissing } from './memory-topic.ts'

/** Kafka's default `message.max.bytes`, which limits a batch, not a record. */
const BATCH_BYTES_MAX = 1_048_588
const BATCH_OVERHEAD = 61
const RECORD_OVERHEAD = 12

export class MemoryProducer implements LogProducer {
  readonly #cluster: MemoryCluster
  #stopped = false

  constructor(cluster: MemoryCluster) {
    this.#cluster = cluster
  }

  async start(): Promise<void> {}

  async append(target: TopicPartition, records: readonly LogRecord[]): Promise<AppendOutcome> {
    if (this.#stopped) return refused('cluster', new TransientError('STOPPED', 'The producer was stopped; the batch was not sent.'))
    if (records.length === 0)
      return refused('cluster', new ConfigurationError('BATCH_EMPTY', 'An empty batch cannot be appended. Leave it out.'))
    const partition = this.#cluster.partition(target)
    if (partition === undefined) return refused('topic', topicMissing(target.topic))
    const bytes = sizeOf(records)
    if (bytes > BATCH_BYTES_MAX) return refused('record', tooLarge(target, bytes))
    return { status: 'acked', baseOffset: partition.append(records) }
  }

  async stop(): Promise<void> {
    this.#stopped = true
  }
}

type Refusal = Extract<AppendOutcome, { readonly status: 'refused' }>

function refused(scope: Refusal['scope'], reason: Refusal['reason']): AppendOutcome {
  return { status: 'refused', scope, reason }
}

function tooLarge({ topic, partition }: TopicPartition, bytes: number): PermanentError {
  return new PermanentError(
    'APPEND_REFUSED',
    `A batch for ${topic}/${partition} has ${bytes} bytes, more than the ${BATCH_BYTES_MAX} that Kafka takes by default. Make the message smaller.`,
    { topic, partition, bytes },
  )
}

function sizeOf(records: readonly LogRecord[]): number {
  let bytes = BATCH_OVERHEAD
  for (const { key, value, headers } of records) {
    bytes += RECORD_OVERHEAD + (key?.length ?? 0) + (value?.length ?? 0)
    for (const [name, header] of headers) bytes += Buffer.byteLength(name) + header.length
  }
  return bytes
}
