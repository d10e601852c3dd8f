import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { makeTopic, uniqueName } from '../../conformance/log-subject.ts'
import { KafkaProxy } from '../../kit/kafka-proxy.ts'
import { LogLoad } from '../../kit/log-load.ts'
import { disturbNetwork } from '../../kit/prove-brokers.ts'
import { Random } from '../../kit/random.ts'

const brokers = inject('brokers')
const PARTITIONS = 3

/** The long form, with three brokers that die, is `npm run prove -- brokers`. */
describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  function stoppedLater(log: LogDriver): LogDriver {
    onTestFinished(async () => {
      await log.producer.stop(2_000)
      await log.admin.close()
    })
    return log
  }

  test('nothing is lost or overtaken when replies are lost, delayed, damaged and cut, and connections swallow everything', async () => {
    const proxy = await new KafkaProxy(brokers[0] ?? '').start()
    onTestFinished(() => proxy[Symbol.asyncDispose]())
    const topic = await makeTopic(stoppedLater(kafkajsLog({ brokers, clientId: 'faults' })), PARTITIONS)
    const log = stoppedLater(kafkajsLog({ brokers: [proxy.broker], clientId: 'faults' }))
    const load = new LogLoad(log, log, { topic, partitions: PARTITIONS, group: uniqueName('group') })
    await load.start()

    await disturbNetwork(proxy, load, new Random(1), { rounds: 2, withHalfOpen: false })
    const report = await load.finish()

    expect(report.violations).toEqual([])
    expect(report.unknown).toBeGreaterThan(0)
    expect(report.repeated).toBeGreaterThan(0)
  }, 120_000)
})
