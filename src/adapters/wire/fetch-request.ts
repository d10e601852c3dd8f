import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { byTopic } from './by-topic.ts'
import { ByteWriter } from './byte-writer.ts'

export interface FetchTarget extends TopicPartition {
  readonly offset: bigint
}

export interface FetchLimits {
  /** How long the broker may wait until there is something. */
  readonly waitMs: number
  readonly bytesMax: number
  readonly partitionBytesMax: number
}

const READ_COMMITTED = 1
const NOT_A_REPLICA = -1
const UNKNOWN = -1

/** The body of one Fetch request, version 11: of several partitions that one broker leads, whatever is committed. */
export function encodeFetch(targets: readonly FetchTarget[], limits: FetchLimits): Buffer {
  const writer = new ByteWriter()
  writer.int32(NOT_A_REPLICA).int32(limits.waitMs).int32(1).int32(limits.bytesMax).int8(READ_COMMITTED)
  writer.int32(0).int32(UNKNOWN) // no session
  writer.list([...byTopic(targets)], ([topic, partitions]) => {
    writer.text(topic).list(partitions, ({ partition, offset }) => {
      writer.int32(partition).int32(UNKNOWN).int64(offset).int64(BigInt(UNKNOWN)).int32(limits.partitionBytesMax)
    })
  })
  return writer
    .list([], () => undefined)
    .text('')
    .bytes() // nothing forgotten, no rack
}
