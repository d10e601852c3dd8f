import type { LogProducer } from '../../core/broker/log-producer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import type { Compression } from '../wire/compress-batch.ts'
import { WireProducer } from '../wire/wire-producer.ts'
import { type KafkaAddress, KafkajsClient } from './client.ts'
import { mapError } from './errors.ts'

export interface KafkajsProducerParts {
  readonly address: KafkaAddress
  readonly diagnostics?: BackboneDiagnostics | undefined
  readonly compression?: Compression | undefined
}

/** Appends over kafkajs's connections, with a Produce request of our own instead of kafkajs's `send`. */
export function kafkajsProducer({ address, diagnostics, compression }: KafkajsProducerParts): LogProducer {
  return new WireProducer({
    client: (attempt) => new KafkajsClient(address, attempt),
    mapError: (error) => mapError(error, address.brokers),
    diagnostics,
    compression,
  })
}
