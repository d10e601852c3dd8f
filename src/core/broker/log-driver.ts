import type { LogAdmin } from './log-admin.ts'
import type { LogConsumerFactory } from './log-consumer.ts'
import type { LogProducer } from './log-producer.ts'

/** One adapter of the log: its three ports. Nothing connects before it is started or asked. */
export interface LogDriver {
  readonly producer: LogProducer
  readonly consumers: LogConsumerFactory
  readonly admin: LogAdmin
}
