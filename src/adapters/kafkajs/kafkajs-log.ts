import type { LogDriver } from '../../core/broker/log-driver.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Logger } from '../../core/logger.ts'
import type { Compression } from '../wire/compress-batch.ts'
import { kafkajsAdmin } from './admin.ts'
import type { KafkaAddress } from './client.ts'
import { kafkajsConsumer } from './consumer.ts'
import { kafkajsProducer } from './producer.ts'

export interface KafkajsLogOptions extends KafkaAddress {
  readonly diagnostics?: BackboneDiagnostics
  /** How often a consumer looks whether its topics have more partitions. Default 30 s. */
  readonly countMs?: number
  /** How batches are compressed before they are sent. Default: not. */
  readonly compression?: Compression | undefined
}

/** Apache Kafka through kafkajs. The admin client is shared by the consumers; close it after they have stopped. */
export function kafkajsLog(options: KafkajsLogOptions): LogDriver {
  const { diagnostics, compression, countMs, ...address } = options
  const admin = kafkajsAdmin(address)
  const reporting: { logger?: Logger; diagnostics?: BackboneDiagnostics } = {
    ...(address.logger === undefined ? {} : { logger: address.logger }),
    ...(diagnostics === undefined ? {} : { diagnostics }),
  }
  return {
    producer: kafkajsProducer({ address, compression, ...reporting }),
    consumers: { consumer: (group, topics) => kafkajsConsumer({ address, admin, countMs, ...reporting }, group, topics) },
    admin,
  }
}
