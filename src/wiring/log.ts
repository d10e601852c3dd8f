import { kafkajsLog } from '../adapters/kafkajs/kafkajs-log.ts'
import { MemoryLog } from '../adapters/memory/memory-log.ts'
import { platformaticLog } from '../adapters/platformatic/platformatic-log.ts'
import type { ParsedOptions } from '../config.ts'
import type { LogDriver } from '../core/broker/log-driver.ts'
import { prefixedLog } from '../core/broker/prefixed-log.ts'
import { specOf } from '../core/broker/topic-options.ts'
import type { LogParts, SharedParts } from './parts.ts'

/** Builds the log side for the driver that was chosen; nothing connects before it is used. */
export function buildLog(
  options: Pick<ParsedOptions, 'kafka' | 'service' | 'topics'>,
  shared: Pick<SharedParts, 'clock' | 'diagnostics' | 'logger'>,
): LogParts {
  const { kafka, service, topics } = options
  if (kafka.driver !== 'memory') {
    const driver = prefixedLog(buildDriver(kafka, service, shared), kafka.prefix)
    // A service never makes topics in a cluster: how many partitions they have is decided before the first key is hashed.
    return { ...driver, address: kafka.brokers.join(', '), prepareTopics: async () => undefined }
  }
  const driver = prefixedLog((kafka.log ?? new MemoryLog()).driver(shared), kafka.prefix)
  return {
    ...driver,
    address: 'the memory log',
    prepareTopics: async (names) => {
      await driver.admin.createTopics(names.map((name) => specOf(name, topics)))
    },
  }
}

function buildDriver(
  kafka: Exclude<ParsedOptions['kafka'], { readonly driver: 'memory' }>,
  clientId: string,
  shared: SharedParts,
): LogDriver {
  const { logger, diagnostics } = shared
  if (kafka.driver === 'kafkajs') return kafkajsLog({ ...kafka, clientId, logger, diagnostics })
  const { sessionTimeout: sessionTimeoutMs, ...address } = kafka
  return platformaticLog({ ...address, clientId, sessionTimeoutMs, diagnostics })
}
