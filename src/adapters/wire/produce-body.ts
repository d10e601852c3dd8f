import type { LogRecord, TopicPartition } from '../../core/broker/log-producer.ts'
import { ByteReader } from './byte-reader.ts'
import { recordBatchSize, writeRecordBatch } from './record-encoder.ts'

/** Understood by every broker since Kafka 2.1, and the newest that kafkajs negotiates. */
export const PRODUCE_API = { key: 0, version: 7 } as const
/** How long the broker may wait for its replicas. Shorter than our request timeout, so that the broker's answer comes first. */
const REPLICATION_TIMEOUT_MS = 20_000
const ACKS_ALL = -1

export interface PartitionBatch extends TopicPartition {
  readonly records: readonly LogRecord[]
  /** The same as it is sent, where it is encoded already because it is compressed. */
  readonly encoded?: Buffer
  /** What {@link measureBatch} says of it, where it was asked already. */
  readonly measured?: BatchMeasure
}

export interface BatchMeasure {
  /** Of the whole batch as it is sent. */
  readonly bytes: number
  /** Of each record; not filled in where the batch is encoded already. */
  readonly bodySizes: Int32Array
}

export function measureBatch({ records, encoded }: PartitionBatch): BatchMeasure {
  const bodySizes = new Int32Array(records.length)
  return { bytes: encoded?.length ?? recordBatchSize(records, bodySizes), bodySizes }
}

/** What the broker says about one partition: an error code (0 is none) and where the batch starts. */
export interface PartitionReply extends TopicPartition {
  readonly errorCode: number
  readonly baseOffset: bigint
}

export interface ProduceReply {
  readonly partitions: readonly PartitionReply[]
  /** Requests are to be held back for so long. */
  readonly clientSideThrottleTime: number
}

/** The body of one Produce request, version 7: a batch for each of several partitions that one broker leads. */
export function encodeProduce(batches: readonly PartitionBatch[]): Buffer {
  const topics = new Map<string, SizedBatch[]>()
  for (const batch of batches) {
    const sized = { ...batch, measured: batch.measured ?? measureBatch(batch) }
    const known = topics.get(batch.topic)
    if (known === undefined) topics.set(batch.topic, [sized])
    else known.push(sized)
  }
  const target = Buffer.allocUnsafe(bodyLength(topics))
  let at = target.writeInt16BE(-1, 0) // no transaction
  at = target.writeInt16BE(ACKS_ALL, at)
  at = target.writeInt32BE(REPLICATION_TIMEOUT_MS, at)
  at = target.writeInt32BE(topics.size, at)
  for (const [topic, sized] of topics) {
    at = target.writeInt16BE(Buffer.byteLength(topic), at)
    at += target.write(topic, at, 'utf8')
    at = target.writeInt32BE(sized.length, at)
    for (const batch of sized) {
      at = target.writeInt32BE(batch.partition, at)
      at = target.writeInt32BE(batch.measured.bytes, at)
      if (batch.encoded === undefined) at = writeRecordBatch(target, at, batch.records, batch.measured.bodySizes)
      else at += batch.encoded.copy(target, at)
    }
  }
  return target
}

interface SizedBatch extends PartitionBatch {
  readonly measured: BatchMeasure
}

function bodyLength(topics: ReadonlyMap<string, readonly SizedBatch[]>): number {
  let length = 2 + 2 + 4 + 4
  for (const [topic, sized] of topics) {
    length += 2 + Buffer.byteLength(topic) + 4
    for (const batch of sized) length += 4 + 4 + batch.measured.bytes
  }
  return length
}

/** Each partition keeps its own answer. */
export function decodeProduce(payload: Buffer): ProduceReply {
  const reader = new ByteReader(payload)
  const partitions: PartitionReply[] = []
  for (let topics = reader.int32(); topics > 0; topics--) {
    const topic = reader.text()
    for (let count = reader.int32(); count > 0; count--) {
      const partition = reader.int32()
      const errorCode = reader.int16()
      const baseOffset = reader.int64()
      reader.skip(16) // time of append, start of the log
      partitions.push({ topic, partition, errorCode, baseOffset })
    }
  }
  return { partitions, clientSideThrottleTime: reader.int32() }
}
