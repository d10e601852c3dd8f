import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import type { Kafka } from 'kafkajs'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { platformaticLog } from '../../../src/adapters/platformatic/platformatic-log.ts'
import type { LogConsumer } from '../../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { RecordingListener, takeAll } from '../../conformance/log-listener.ts'
import { appended, makeTopic, numbered, soon, uniqueName } from '../../conformance/log-subject.ts'
import { closedLater, proxied, stoppedLater } from '../../kit/kafka-trouble.ts'
import { until } from '../../kit/wait.ts'

const brokers = inject('brokers')

function newLog(more: Partial<Parameters<typeof platformaticLog>[0]> = {}): LogDriver {
  return closedLater(platformaticLog({ brokers, clientId: 'trouble', ...more }))
}

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  test('tells a lost reply to a batch as unknown, and replaces its client before it sends again', async () => {
    const proxy = await proxied()
    const diagnostics = new Diagnostics<DiagnosticCatalogue>()
    const replaced: string[] = []
    diagnostics.on(({ name }) => void (name === 'producer.replaced' && replaced.push(name)))
    const log = newLog({ brokers: [proxy.broker], diagnostics })
    const topic = await makeTopic(log)
    await log.producer.start(soon())
    proxy.loseProduceReplies(1)

    const first = await log.producer.append({ topic, partition: 0 }, numbered(2))
    const replacedBefore = replaced.length
    const second = await log.producer.append({ topic, partition: 0 }, numbered(2))

    expect(first).toMatchObject({ status: 'unknown', reason: { name: 'UnknownOutcomeError', code: 'APPEND_UNKNOWN' } })
    expect([proxy.lostReplies, replacedBefore]).toEqual([1, 1])
    expect(second).toEqual({ status: 'acked', baseOffset: 2n })
  })

  test('refuses as unreachable what it could not send, and sends again when Kafka is back', async () => {
    const proxy = await proxied()
    const log = newLog({ brokers: [proxy.broker] })
    const topic = await makeTopic(log)
    await log.producer.start(soon())
    await appended(log.producer, topic, 0, numbered(1))

    proxy.refuse()
    const away = await until('a refusal', async () => {
      const outcome = await log.producer.append({ topic, partition: 0 }, numbered(1))
      return outcome.status === 'refused' ? outcome : undefined
    })
    proxy.pass()
    const back = await until('an acknowledgement', async () => {
      const outcome = await log.producer.append({ topic, partition: 0 }, numbered(1))
      return outcome.status === 'acked' ? outcome : undefined
    })

    expect(away).toMatchObject({ scope: 'cluster', reason: { code: 'BROKER_UNREACHABLE' } })
    expect(back.status).toBe('acked')
  })

  test('reads on without a rebalance when its connections are cut', async () => {
    const proxy = await proxied()
    const log = newLog()
    const topic = await makeTopic(log)
    await log.producer.start(soon())
    const listener = new RecordingListener()
    const through = newLog({ brokers: [proxy.broker] })
    await stoppedLater(through.consumers.consumer(uniqueName('group'), [topic])).start(listener, soon())
    await appended(log.producer, topic, 0, numbered(1))
    await listener.until(() => listener.records.length === 1)

    proxy.cut()
    await appended(log.producer, topic, 0, numbered(1, 1))
    await listener.until(() => listener.records.length >= 2)

    expect(listener.values()).toEqual(['0', '1'])
    expect([listener.assigned.length, listener.revoked.length]).toEqual([1, 0])
  })

  test('shares a group with members that run the other driver, so that a service can change it while it runs', async () => {
    const [log, other] = [newLog(), closedLater(kafkajsLog({ brokers, clientId: 'trouble' }))]
    const [topic, group] = [await makeTopic(log, 4), uniqueName('group')]
    await log.producer.start(soon())
    const positions = new Map<number, bigint>()
    const newListener = (): RecordingListener =>
      new RecordingListener(
        ({ partition }) => positions.get(partition) ?? 0n,
        (batch) => {
          positions.set(batch.partition, takeAll(batch))
          return takeAll(batch)
        },
      )
    const [old, fresh] = [newListener(), newListener()]
    const leaving = other.consumers.consumer(group, [topic])
    await leaving.start(old, soon())
    await Promise.all([0, 1, 2, 3].map((partition) => appended(log.producer, topic, partition, numbered(1))))
    await old.until(() => old.records.length === 4)

    await stoppedLater(log.consumers.consumer(group, [topic])).start(fresh, soon())
    await fresh.until(() => fresh.assigned.length >= 2)
    const shared = fresh.assigned.length
    await leaving.stop(10_000)
    await fresh.until(() => new Set(fresh.assigned.map(({ partition }) => partition.partition)).size === 4)
    await Promise.all([0, 1, 2, 3].map((partition) => appended(log.producer, topic, partition, numbered(1, 1))))
    await fresh.until(() => fresh.records.length >= 4)

    expect(shared).toBe(2)
    expect(fresh.values()).toEqual(['1', '1', '1', '1'])
  })

  test('a static member comes back with its partitions, and the others hear nothing of it', async () => {
    const log = newLog()
    const [topic, group] = [await makeTopic(log, 2), uniqueName('group')]
    const [staying, first, second] = [new RecordingListener(), new RecordingListener(), new RecordingListener()]
    const staticMember = (): LogConsumer => newLog({ instanceId: 'pod-0' }).consumers.consumer(group, [topic])
    await stoppedLater(log.consumers.consumer(group, [topic])).start(staying, soon())
    const before = staticMember()
    await before.start(first, soon())
    await staying.until(() => staying.assigned.length === 3)

    await before.stop(10_000)
    const again = stoppedLater(staticMember())
    await again.start(second, soon())
    await second.until(() => second.assigned.length === 1)

    expect(second.assigned[0]?.partition).toEqual(first.assigned[0]?.partition)
    expect(staying.assigned).toHaveLength(3)
  })

  test('knows its topics by their ids: one that was made again has another', async () => {
    const log = newLog()
    const topic = await makeTopic(log)
    const before = await log.admin.rangeOf({ topic, partition: 0 })
    const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')
    const judge = new Client({ brokers: [...brokers], clientId: 'judge', logLevel: 0 }).admin()
    await judge.connect()
    onTestFinished(() => judge.disconnect())

    await judge.deleteTopics({ topics: [topic] })
    await until('the topic to be gone', async () => (await log.admin.partitionsOf(topic)) === undefined)
    await log.admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 1 }])
    const after = await log.admin.rangeOf({ topic, partition: 0 })

    expect(before.topicId).toMatch(/^[0-9a-f-]{36}$/)
    expect(after.topicId).not.toBe(before.topicId)
  })
})

test('says that nothing answers, and where', async () => {
  const { admin } = closedLater(platformaticLog({ brokers: ['127.0.0.1:1'], clientId: 'trouble' }))

  await expect(admin.brokers()).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE', message: expect.stringContaining('127.0.0.1:1') })
})

test('ends its waiting for a server that says nothing', async () => {
  const silent = createServer(() => undefined)
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void silent.close())
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { producer } = closedLater(platformaticLog({ brokers: [`127.0.0.1:${port}`], clientId: 'trouble' }))
  const started = producer.start(soon()).catch((error: unknown) => error)

  await producer.stop(100)

  expect(await started).toMatchObject({ code: 'STOPPED' })
})
