import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import { ByteReader } from './byte-reader.ts'
import { type AbortedTransaction, decodeRecords, type Placeholder } from './record-decoder.ts'

/** Understood by every broker since Kafka 2.3, and the newest that kafkajs negotiates. */
export const FETCH_API = { key: 1, version: 11 } as const

/** A partition's part of a reply. */
export interface FetchedPartition {
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: bigint
  /** Below it nothing waits for the end of a transaction. */
  readonly lastStableOffset: bigint
  readonly abortedTransactions: readonly never[]
  readonly preferredReadReplica: number
  readonly messages: readonly (ConsumedRecord | Placeholder)[]
  /** Where a batch with a wrong checksum starts, before which reading ended. */
  readonly damagedAt: bigint | undefined
}

export interface FetchReply {
  readonly clientSideThrottleTime: number
  readonly errorCode: number
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
}

/** Reads a reply to Fetch, version 11, into the records that a listener gets. */
export async function decodeFetch(payload: Buffer): Promise<FetchReply> {
  const reader = new ByteReader(payload)
  const clientSideThrottleTime = reader.int32()
  const errorCode = reader.int16()
  reader.skip(4) // session
  const responses: { topicName: string; partitions: FetchedPartition[] }[] = []
  for (let topics = reader.int32(); topics > 0; topics--) {
    const topicName = reader.text()
    const partitions: FetchedPartition[] = []
    for (let count = reader.int32(); count > 0; count--) partitions.push(await decodePartition(reader))
    responses.push({ topicName, partitions })
  }
  return { clientSideThrottleTime, errorCode, responses }
}

async function decodePartition(reader: ByteReader): Promise<FetchedPartition> {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const highWatermark = reader.int64()
  const lastStableOffset = reader.int64()
  reader.skip(8) // start of the log
  const aborted: AbortedTransaction[] = []
  for (let count = reader.int32(); count > 0; count--) aborted.push({ producerId: reader.int64(), firstOffset: reader.int64() })
  const preferredReadReplica = reader.int32()
  const length = Math.max(0, reader.int32())
  const start = reader.skip(length)
  let damagedAt: bigint | undefined
  const messages = await decodeRecords(reader.bytes.subarray(start, start + length), aborted, {
    end: highWatermark,
    onDamaged: (baseOffset) => {
      damagedAt = baseOffset
    },
  })
  // Aborted records are left out already, so kafkajs has none to look for.
  return { partition, errorCode, highWatermark, lastStableOffset, abortedTransactions: [], preferredReadReplica, messages, damagedAt }
}
