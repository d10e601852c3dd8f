import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'
import { describe, inject } from 'vitest'
import { platformaticLog } from '../../../src/adapters/platformatic/platformatic-log.ts'
import { logAdminConformance } from '../../conformance/log-admin.ts'
import { logConsumerConformance } from '../../conformance/log-consumer.ts'
import { logGroupConformance } from '../../conformance/log-group.ts'
import { logProducerConformance } from '../../conformance/log-producer.ts'
import type { LogSubject } from '../../conformance/log-subject.ts'

const brokers = inject('brokers')

async function open(): Promise<LogSubject> {
  return {
    driver: () => platformaticLog({ brokers, clientId: 'conformance' }),
    committed: committedOffset,
    close: async () => undefined,
  }
}

/** Asked of kafkajs itself, so that the judge shares nothing with what it judges. */
async function committedOffset(group: string, topic: string, partition: number): Promise<bigint | undefined> {
  const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')
  const admin = new Client({ brokers: [...brokers], clientId: 'judge', logLevel: 0 }).admin()
  await admin.connect()
  try {
    const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    const offset = offsets?.partitions.find((each) => each.partition === partition)?.offset
    return offset === undefined || offset === '-1' ? undefined : BigInt(offset)
  } finally {
    await admin.disconnect()
  }
}

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  logProducerConformance('platformatic', open)
  logConsumerConformance('platformatic', open)
  logGroupConformance('platformatic', open)
  logAdminConformance('platformatic', open)
})
