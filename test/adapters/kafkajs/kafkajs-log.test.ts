import { describe, inject } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { kafkaSubject } from '../../conformance/kafka-subject.ts'
import { logAdminConformance } from '../../conformance/log-admin.ts'
import { logConsumerConformance } from '../../conformance/log-consumer.ts'
import { logGroupConformance } from '../../conformance/log-group.ts'
import { logProducerConformance } from '../../conformance/log-producer.ts'
import { logRecordsConformance } from '../../conformance/log-records.ts'

const brokers = inject('brokers')

const open = async () => kafkaSubject(brokers, () => kafkajsLog({ brokers, clientId: 'conformance' }))

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  logProducerConformance('kafkajs', open)
  logRecordsConformance('kafkajs', open)
  logConsumerConformance('kafkajs', open)
  logGroupConformance('kafkajs', open)
  logAdminConformance('kafkajs', open)
})
