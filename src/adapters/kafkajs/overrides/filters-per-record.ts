import type { ConsumedRecord } from '../../../core/broker/log-consumer.ts'
import type { FetchedPartition, FetchReply } from '../../wire/fetch-response.ts'
import type { Placeholder } from '../../wire/record-decoder.ts'

/** All records of one partition's part of a reply, as one message for kafkajs, at the last of their offsets. */
export interface Carrier {
  readonly offset: bigint
  /** Without records kafkajs moves its position over it and shows it to nobody. */
  readonly isControlRecord: boolean
  readonly records: readonly ConsumedRecord[]
}

/**
 * Removes: kafkajs walks over the records of a fetch four times, with two objects for each offset that it compares.
 * It only needs to know where the next fetch starts.
 */
export function carried(reply: FetchReply): object {
  return {
    ...reply,
    responses: reply.responses.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map((each) => ({ ...each, messages: carrierOf(each) })),
    })),
  }
}

function carrierOf({ messages }: FetchedPartition): readonly Carrier[] {
  const last = messages.at(-1)
  if (last === undefined) return []
  const records = messages.filter(isRecord)
  return [{ offset: last.offset, isControlRecord: records.length === 0, records }]
}

function isRecord(message: ConsumedRecord | Placeholder): message is ConsumedRecord {
  return !('isControlRecord' in message)
}
