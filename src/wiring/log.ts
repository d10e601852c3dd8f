import { kafkajsLog } from '../adapters/kafkajs/kafkajs-log.ts'
import { MemoryLog } from '../adapters/memory/memory-log.ts'
import type { ParsedOptions } from '../config.ts'
import { prefixedLog } from '../core/broker/prefixed-log.ts'
import type { LogParts, SharedParts } from './parts.ts'

/** Builds the log side for the driver that was chosen; nothing connects before it is used. */
export function buildLog(
  options: Pick<ParsedOptions, 'kafka' | 'service' | 'topics'>,
  shared: Pick<SharedParts, 'clock' | 'diagnostics' | 'logger'>,
): LogParts {
  const { kafka, service, topics } = options
  if (kafka.driver === 'kafkajs') {
    const { prefix, ...address } = kafka
    const driver = prefixedLog(
      kafkajsLog({ ...address, clientId: service, logger: shared.logger, diagnostics: shared.diagnostics }),
      prefix,
    )
    // A service never makes topics in a cluster: how many partitions they have is decided before the first key is hashed.
    return { ...driver, address: kafka.brokers.join(', '), prepareTopics: async () => undefined }
  }
  const driver = prefixedLog((kafka.log ?? new MemoryLog()).driver(shared), kafka.prefix)
  return {
    ...driver,
    address: 'the memory log',
    prepareTopics: async (names) => {
      await driver.admin.createTopics(names.map((name) => ({ name, ...topics })))
    },
  }
}
