import type { TopicPartition } from '../../../core/broker/log-producer.ts'
import { TransientError } from '../../../foundation/errors.ts'
import type { FetchReply } from '../../wire/fetch-response.ts'

const OFFSET_OUT_OF_RANGE = 1

/**
 * Removes: when the log does not reach to where kafkajs reads, it writes a line and goes on at its default offset, which
 * is the end of the log unless one asks for another. What lies between is never read and nobody hears of it; with an
 * empty log nothing at all is seen until the next record comes.
 *
 * Here the partition's part is taken out of the reply, and whoever reads it hears at once.
 */
export function takeOutOfRange(reply: FetchReply, onLost: (partition: TopicPartition, reason: TransientError) => void): FetchReply {
  const responses = reply.responses.map(({ topicName: topic, partitions }) => ({
    topicName: topic,
    partitions: partitions.map((each) => {
      if (each.errorCode !== OFFSET_OUT_OF_RANGE) return each
      onLost({ topic, partition: each.partition }, outOfRange(topic, each.partition))
      return { ...each, errorCode: 0 }
    }),
  }))
  return { ...reply, responses }
}

function outOfRange(topic: string, partition: number): TransientError {
  return new TransientError(
    'POSITION_LOST',
    `Partition ${topic}/${partition} does not hold the offset that was to be read next: retention removed it, or the log is shorter than it was. ` +
      'The position is asked for again.',
    { topic, partition },
  )
}
