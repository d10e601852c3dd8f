import { expect, test } from 'vitest'
import { MemoryLog } from '../../../src/adapters/memory/memory-log.ts'
import { logAdminConformance } from '../../conformance/log-admin.ts'
import { logConsumerConformance } from '../../conformance/log-consumer.ts'
import { logGroupConformance } from '../../conformance/log-group.ts'
import { logProducerConformance } from '../../conformance/log-producer.ts'
import { logRecordsConformance } from '../../conformance/log-records.ts'
import { appended, type LogSubject, record } from '../../conformance/log-subject.ts'

async function nobody(): Promise<void> {
  throw new Error('Nobody but ours writes to a log in memory; the case is to be skipped.')
}

async function open(): Promise<LogSubject> {
  const log = new MemoryLog()
  return {
    driver: () => log.driver(),
    committed: async (group, topic, partition) => log.committed(group, { topic, partition }),
    truncate: async (topic, partition, before) => log.truncate({ topic, partition }, before),
    compact: async (topic) => {
      await appended(log.driver().producer, topic, 0, [record('x', { key: Buffer.from('the newest') })])
      log.compact({ topic, partition: 0 })
    },
    deleteTopic: async (topic) => log.deleteTopic(topic),
    foreign: { compressed: nobody, withHeaders: nobody, aborted: nobody },
    close: async () => undefined,
  }
}

logProducerConformance('memory', open)
logRecordsConformance('memory', open)
logConsumerConformance('memory', open)
logGroupConformance('memory', open)
logAdminConformance('memory', open)

test('is shared by all drivers of one log', async () => {
  const log = new MemoryLog()
  await log.driver().admin.createTopics([{ name: 'orders', partitions: 1, replicationFactor: 1 }])

  expect(await log.driver().admin.partitionsOf('orders')).toBe(1)
  expect(await new MemoryLog().driver().admin.partitionsOf('orders')).toBeUndefined()
})
