import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'
import { beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajsConsumer } from '../../../src/adapters/kafkajs/consumer.ts'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { ConfigurationError } from '../../../src/foundation/errors.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'
import { appended, makeTopic, numbered, record, soon, uniqueName } from '../../conformance/log-subject.ts'
import { proxied, stoppedLater } from '../../kit/kafka-trouble.ts'
import { until } from '../../kit/wait.ts'

const brokers = inject('brokers')
const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  let log: LogDriver

  beforeEach(async () => {
    log = kafkajsLog({ brokers, clientId: 'trouble' })
    await log.producer.start(soon())
    return async () => {
      await log.producer.stop(1_000)
      await log.admin.close()
    }
  })

  test('a batch that inflates without end costs one record, and nobody of the group waits for it', async () => {
    const [bombed, other] = [await makeTopic(log), await makeTopic(log)]
    const foreign = new Client({ brokers: [...brokers], clientId: 'foreign', logLevel: 0 }).producer()
    await foreign.connect()
    await foreign.send({ topic: bombed, compression: 1, messages: [{ value: Buffer.alloc(80 * 1024 * 1024) }] })
    await foreign.disconnect()
    await appended(log.producer, bombed, 0, numbered(1))
    await appended(log.producer, other, 0, numbered(1))
    const listener = new RecordingListener()

    await stoppedLater(log.consumers.consumer(uniqueName('group'), [bombed, other])).start(listener, soon())
    await listener.until(() => listener.records.length >= 3)

    const read = listener.records.filter(({ topic }) => topic === bombed)
    expect(read).toMatchObject([
      { offset: 0n, unreadable: { code: 'BATCH_TOO_LARGE' } },
      { offset: 1n, value: Buffer.from('0') },
    ])
    expect(listener.records.filter(({ topic }) => topic === other)).toHaveLength(1)
  })

  test('goes on trying when Kafka, which had let it in, refuses it', async () => {
    const topic = await makeTopic(log)
    const proxy = await proxied()
    const diagnostics = new Diagnostics<DiagnosticCatalogue>()
    let refusals = 0
    const admin = Object.assign(Object.create(log.admin), {
      rangeOf: (partition: { topic: string; partition: number }) => log.admin.rangeOf(partition),
      partitionsOf: async (name: string) => {
        if (refusals > 0 && refusals-- > 0) throw new ConfigurationError('KAFKA_ACCESS', 'Kafka does not let this service in.')
        return await log.admin.partitionsOf(name)
      },
    })
    const parts = { address: { brokers: [proxy.broker], clientId: 'trouble' }, admin, diagnostics }
    const consumer = stoppedLater(kafkajsConsumer(parts, uniqueName('group'), [topic]))
    const listener = new RecordingListener()
    await consumer.start(listener, soon())
    const said = diagnostics.next('consumer.restarted', ({ reason }) => reason.includes('does not let'))

    refusals = 1
    proxy.refuse()
    await until('the refusal', () => refusals === 0)
    proxy.pass()
    await said
    await appended(log.producer, topic, 0, numbered(1))
    await listener.until(() => listener.records.length >= 1)

    expect(listener.failures).toEqual([])
  })

  test.each(['gzip', 'snappy', 'lz4', 'zstd'])('reads what a Java broker has compressed with %s', async (codec) => {
    const topic = uniqueName(codec)
    const judge = new Client({ brokers: [...brokers], clientId: 'judge', logLevel: 0 }).admin()
    await judge.connect()
    onTestFinished(() => judge.disconnect())
    await judge.createTopics({ topics: [{ topic, numPartitions: 1, configEntries: [{ name: 'compression.type', value: codec }] }] })
    const values = Array.from({ length: 500 }, (_, index) => `${index}: ${'compress me '.repeat(index % 20)}`)
    const listener = new RecordingListener()

    await stoppedLater(log.consumers.consumer(uniqueName('group'), [topic])).start(listener, soon())
    await appended(
      log.producer,
      topic,
      0,
      values.map((value) => record(value)),
    )
    await listener.until(() => listener.records.length >= values.length)

    expect(listener.values()).toEqual(values)
  })

  test.each(['gzip', 'zstd'] as const)(
    'sends batches compressed with %s, so that what a broker would refuse for its size fits',
    async (compression) => {
      const topic = await makeTopic(log)
      const compressing = kafkajsLog({ brokers, clientId: 'trouble', compression })
      onTestFinished(() => compressing.producer.stop(1_000))
      await compressing.producer.start(soon())
      const values = Array.from({ length: 200 }, (_, index) => `${index} ${'compress me '.repeat(1_000)}`)

      // Two megabytes and more, where a broker takes one.
      await appended(
        compressing.producer,
        topic,
        0,
        values.map((value) => record(value)),
      )
      const listener = new RecordingListener()
      await stoppedLater(log.consumers.consumer(uniqueName('group'), [topic])).start(listener, soon())
      await listener.until(() => listener.records.length >= values.length)

      expect(listener.values()).toEqual(values)
    },
  )
})
