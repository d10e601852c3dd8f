import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { LogConsumer } from '../../core/broker/log-consumer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { SupervisedConsumer } from '../wire/supervised-consumer.ts'
import { type KafkaAddress, KafkajsClient } from './client.ts'
import { mapError } from './errors.ts'
import { MEMBERSHIP_RETRY, Membership } from './membership.ts'

export interface KafkajsConsumerParts {
  readonly address: KafkaAddress
  /** Asked for topics and ranges; not closed by the consumer. */
  readonly admin: LogAdmin
  readonly diagnostics?: BackboneDiagnostics | undefined
  /** How often it looks whether its topics have more partitions. Default 30 s. */
  readonly countMs?: number | undefined
}

const COUNT_MS = 30_000

/** Reads topics as a member of a group, through kafkajs, and replaces kafkajs's consumer whenever it gives up. */
export function kafkajsConsumer(
  { address, admin, diagnostics, countMs = COUNT_MS }: KafkajsConsumerParts,
  group: string,
  topics: readonly string[],
): LogConsumer {
  return new SupervisedConsumer(
    {
      admin,
      diagnostics,
      mapError: (error) => mapError(error, address.brokers),
      membership: ({ attempt, ...request }) =>
        new Membership({
          ...request,
          client: new KafkajsClient(address, attempt, { retry: MEMBERSHIP_RETRY, metadataAgeMs: countMs }),
          group,
          rangeOf: (partition) => admin.rangeOf(partition),
          partitionsOf: (topic) => admin.partitionsOf(topic),
          diagnostics,
        }),
    },
    group,
    topics,
  )
}
