import { decodeProduce, encodeProduce, type PartitionBatch, PRODUCE_API, type ProduceReply } from '../wire/produce-body.ts'
import type { ProtocolRequest } from './internals.ts'

/**
 * One Produce request: a batch for each of several partitions that one broker leads.
 *
 * The reply is not turned into an exception, as kafkajs does with the first error of any partition:
 * each partition keeps its own answer.
 */
export function produceRequest(batches: readonly PartitionBatch[]): ProtocolRequest<ProduceReply> {
  return {
    request: {
      apiKey: PRODUCE_API.key,
      apiVersion: PRODUCE_API.version,
      apiName: 'Produce',
      expectResponse: () => true,
      async encode() {
        const buffer = encodeProduce(batches)
        return { buf: buffer, buffer }
      },
    },
    response: {
      decode: async (payload) => decodeProduce(payload),
      parse: async (reply) => reply.partitions,
    },
  }
}
