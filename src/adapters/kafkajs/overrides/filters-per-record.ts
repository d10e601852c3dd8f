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
 * It only needs to know where the next fetch starts; of a partition without news it need not hear at all.
 */
export function carried(reply: FetchReply): object {
  return {
    ...reply,
    responses: reply.responses.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.filter(isTold).map((each) => ({ ...each, messages: carrierOf(each) })),
    })),
  }
}

/** A part that holds nothing would go through kafkajs's workers all the same, each time that nothing comes. */
function isTold({ errorCode, messages }: FetchedPartition): boolean {
  return errorCode !== 0 || messages.length > 0
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
