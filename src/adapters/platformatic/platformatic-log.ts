import type { LogConsumer } from '../../core/broker/log-consumer.ts'
import type { LogDriver } from '../../core/broker/log-driver.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { TrunklineError } from '../../foundation/errors.ts'
import type { Compression } from '../wire/compress-batch.ts'
import { SupervisedConsumer } from '../wire/supervised-consumer.ts'
import { WireProducer } from '../wire/wire-producer.ts'
import { platformaticAdmin } from './admin.ts'
import { PlatformaticClient } from './client.ts'
import type { KafkaAddress } from './connections.ts'
import { mapError } from './errors.ts'
import type { MemberIdentity } from './group-session.ts'
import { PlatformaticMembership } from './membership.ts'

export interface PlatformaticLogOptions extends KafkaAddress {
  /**
   * Makes the members of this process static (`group.instance.id`): within the session timeout it may restart and read
   * on without a rebalance. No two processes may have the same.
   */
  readonly instanceId?: string | undefined
  /** The coordinator forgets a member that it has not heard for so long. Default 10 s. */
  readonly sessionTimeoutMs?: number
  /** How often a group looks whether its topics have more partitions. Default 30 s. */
  readonly countMs?: number
  readonly diagnostics?: BackboneDiagnostics | undefined
  /** How batches are compressed before they are sent. Default: not. */
  readonly compression?: Compression | undefined
}

const SESSION_TIMEOUT_MS = 10_000
const COUNT_MS = 30_000

/** Apache Kafka through `@platformatic/kafka`. The admin client is shared by the consumers; close it after they have stopped. */
export function platformaticLog(options: PlatformaticLogOptions): LogDriver {
  const { instanceId = null, sessionTimeoutMs = SESSION_TIMEOUT_MS, countMs = COUNT_MS, diagnostics, compression, ...address } = options
  const admin = platformaticAdmin(address)
  const map = (error: unknown): TrunklineError => mapError(error, address.brokers)
  const consumer = (group: string, topics: readonly string[]): LogConsumer => {
    const identity: MemberIdentity = { memberId: '', owned: [] }
    return new SupervisedConsumer(
      {
        admin,
        diagnostics,
        mapError: map,
        membership: ({ attempt, ...request }) =>
          new PlatformaticMembership({
            ...request,
            client: new PlatformaticClient(address, attempt),
            group,
            identity,
            instanceId,
            sessionTimeoutMs,
            countMs,
            rangeOf: (partition) => admin.rangeOf(partition),
            diagnostics,
          }),
      },
      group,
      topics,
    )
  }
  const producer = new WireProducer({
    client: (attempt) => new PlatformaticClient(address, attempt),
    mapError: map,
    diagnostics,
    compression,
  })
  return { producer, consumers: { consumer }, admin }
}
