import { describe, inject, test } from 'vitest'
import { makeTopic, uniqueName } from '../../conformance/log-subject.ts'
import { KafkaProxy } from '../../kit/kafka-proxy.ts'
import { LogLoad } from '../../kit/log-load.ts'
import { disturbNetwork, realDrivers } from '../../kit/prove-brokers.ts'
import { Random } from '../../kit/random.ts'

const brokers = inject('brokers')
const PARTITIONS = 3

/** The long form, with three brokers that die, is `npm run prove -- brokers`. */
describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  test.concurrent.for(realDrivers)(
    'nothing is lost or overtaken by %s when replies are lost, delayed, damaged and cut, connections swallow everything, and members come and go',
    { timeout: 120_000 },
    async ([, open], { expect, onTestFinished }) => {
      const proxy = await new KafkaProxy(brokers[0] ?? '').start()
      onTestFinished(() => proxy[Symbol.asyncDispose]())
      const direct = open({ brokers, clientId: 'faults' })
      const log = open({ brokers: [proxy.broker], clientId: 'faults' })
      onTestFinished(async () => {
        await log.producer.stop(2_000)
        await Promise.all([direct.admin.close(), log.admin.close()])
      })
      const topic = await makeTopic(direct, PARTITIONS)
      const load = new LogLoad(log, log, { topic, partitions: PARTITIONS, group: uniqueName('group') })
      await load.start()

      await load.visit()
      await disturbNetwork(proxy, load, new Random(1), { rounds: 2, withHalfOpen: false })
      const report = await load.finish()

      expect(report.violations).toEqual([])
      expect(report.unknown).toBeGreaterThan(0)
      expect(report.repeated).toBeGreaterThan(0)
      expect(report.rebalances).toBeGreaterThanOrEqual(2)
    },
  )
})
