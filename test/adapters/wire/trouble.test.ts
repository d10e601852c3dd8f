import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { platformaticLog } from '../../../src/adapters/platformatic/platformatic-log.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'
import { appended, makeTopic, numbered, record, soon, uniqueName } from '../../conformance/log-subject.ts'
import { closedLater, proxied, stoppedLater } from '../../kit/kafka-trouble.ts'
import { until } from '../../kit/wait.ts'

const brokers = inject('brokers')
const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')
const drivers = [
  ['kafkajs', kafkajsLog],
  ['platformatic', platformaticLog],
] as const

interface LogSettings {
  readonly brokers?: readonly string[]
  readonly countMs?: number
}

/** What either driver makes of trouble that a broker or the network has. */
describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  // Both at once: a member is counted for ten seconds after it was heard last.
  test('is no member while Kafka does not answer, and is one again when it does, by either driver', async () => {
    const proxy = await proxied()
    const members = drivers.map(([, open]) => {
      const log = closedLater(open({ brokers, clientId: 'trouble' }))
      const through = closedLater(open({ brokers: [proxy.broker], clientId: 'trouble' }))
      return { log, through, listener: new RecordingListener() }
    })
    const consumers = await Promise.all(
      members.map(async ({ log, through, listener }) => {
        const topic = await makeTopic(log)
        const consumer = stoppedLater(through.consumers.consumer(uniqueName('group'), [topic]))
        await consumer.start(listener, soon())
        return { consumer, topic }
      }),
    )
    const joined = (): boolean[] => consumers.map(({ consumer }) => consumer.joined)
    const before = joined()

    proxy.refuse()
    await until('both to notice', () => !joined().includes(true))
    proxy.pass()
    await until('both to join again', () => !joined().includes(false))
    await Promise.all(members.map(({ log }, index) => appended(log.producer, consumers[index]?.topic ?? '', 0, numbered(1))))
    await Promise.all(members.map(({ listener }) => listener.until(() => listener.records.length >= 1)))

    expect(before).toEqual([true, true])
    expect(members.flatMap(({ listener }) => listener.failures)).toEqual([])
  })

  describe.each(drivers)('by the driver %s', (_, open) => {
    function newLog(more: LogSettings = {}): LogDriver {
      return closedLater(open({ brokers, clientId: 'trouble', ...more }))
    }

    test('leaves the group when its start is aborted in the middle of joining', async () => {
      const log = newLog()
      const [topic, group] = [await makeTopic(log), uniqueName('group')]
      const judge = new Client({ brokers: [...brokers], clientId: 'judge', logLevel: 0 }).admin()
      await judge.connect()
      onTestFinished(() => judge.disconnect())
      const described = async () => (await judge.describeGroups([group])).groups[0]
      await stoppedLater(log.consumers.consumer(group, [topic])).start(new RecordingListener(), soon())
      const abort = new AbortController()
      const joining = log.consumers.consumer(group, [topic]).start(new RecordingListener(), abort.signal)
      const ended = joining.then(
        () => 'joined',
        () => 'aborted',
      )
      await until('a rebalance', async () => (await described())?.state !== 'Stable')

      abort.abort()

      expect(await ended).toBe('aborted')
      // A member that does not leave is counted until its session of ten seconds is over.
      const alone = async () => ((await described())?.members.length === 1 && (await described())?.state === 'Stable') || undefined
      await until('the first member alone', alone, 7_000)
    })

    test('a batch that was damaged on its way is read when it comes whole, over another connection', async () => {
      const [log, proxy] = [newLog(), await proxied()]
      const topic = await makeTopic(log)
      await appended(log.producer, topic, 0, numbered(3))
      proxy.damageFetches(2)
      const listener = new RecordingListener()

      const through = newLog({ brokers: [proxy.broker] })
      await stoppedLater(through.consumers.consumer(uniqueName('group'), [topic])).start(listener, soon())
      await listener.until(() => listener.records.length >= 3)

      expect(proxy.damagedFetches).toBe(2)
      expect([listener.values(), listener.stuck]).toEqual([['0', '1', '2'], []])
    })

    test('a batch that comes damaged again and again stops its partition, says so once, and is read when it comes whole', async () => {
      const [log, proxy] = [newLog(), await proxied()]
      const topic = await makeTopic(log)
      await appended(log.producer, topic, 0, numbered(3))
      proxy.damageFetches(1_000)
      const listener = new RecordingListener()

      const through = newLog({ brokers: [proxy.broker] })
      await stoppedLater(through.consumers.consumer(uniqueName('group'), [topic])).start(listener, soon())
      await listener.until(() => listener.stuck.length > 0)
      await listener.until(() => listener.assigned.length >= 3)
      const before = [listener.stuck.length, listener.records.length]
      proxy.damageFetches(0)
      await listener.until(() => listener.records.length >= 3)

      expect(before).toEqual([1, 0])
      expect(listener.stuck).toMatchObject([{ partition: { topic, partition: 0 }, reason: { code: 'KAFKA_CHECKSUM_WRONG' } }])
      expect(listener.values()).toEqual(['0', '1', '2'])
    })

    test('asks again at once when the log does not reach to the offset that is to be read, although it holds nothing to read', async () => {
      const log = newLog()
      const topic = await makeTopic(log)
      const listener = new RecordingListener((_partition, range) => (listener.assigned.length === 1 ? 50n : range.latest))

      // kafkajs would go on at 0 by itself, and nobody would hear of it before a record comes.
      await stoppedLater(log.consumers.consumer(uniqueName('group'), [topic])).start(listener, soon())
      await listener.until(() => listener.assigned.length >= 2)
      await appended(log.producer, topic, 0, numbered(1))
      await listener.until(() => listener.records.length >= 1)

      expect(listener.offsets()).toEqual([0n])
    })

    test('reads the partitions that a topic gets while it is read, whichever member is given them', async () => {
      const log = newLog({ countMs: 500 })
      const [topic, group] = [await makeTopic(log, 2), uniqueName('group')]
      const members = [new RecordingListener(), new RecordingListener()]
      for (const member of members) await stoppedLater(log.consumers.consumer(group, [topic])).start(member, soon())
      const read = () => new Set(members.flatMap(({ records }) => records.map(({ partition }) => partition)))

      await log.admin.raisePartitions(topic, 4)
      for (const partition of [0, 1, 2, 3]) await appended(log.producer, topic, partition, numbered(1))
      await until('all partitions to be read', () => read().size === 4)

      expect(read()).toEqual(new Set([0, 1, 2, 3]))
    })

    test('a batch that its topic does not take is refused before it is sent, until the topic takes it', async () => {
      const [log, proxy] = [newLog(), await proxied()]
      const topic = await makeTopic(log, 1, { 'max.message.bytes': '10000' })
      const { producer } = newLog({ brokers: [proxy.broker] })
      const large = [record(null, { value: Buffer.alloc(20_000) })]
      await appended(producer, topic, 0, numbered(1))
      const sent = proxy.asked('Produce')

      const refused = await producer.append({ topic, partition: 0 }, large)
      const sentThen = proxy.asked('Produce')
      await log.admin.changeSettings(topic, { 'max.message.bytes': '40000' })
      const taken = await until('the topic to take it', async () => {
        const outcome = await producer.append({ topic, partition: 0 }, large)
        return outcome.status === 'acked' && outcome
      })

      const reason = { code: 'APPEND_REFUSED', message: expect.stringMatching(/20\d\d\d bytes, more than the 10000 .*max\.message\.bytes/) }
      expect(refused).toMatchObject({ status: 'refused', scope: 'record', reason })
      expect([sent, sentThen]).toEqual([1, 1])
      expect(taken).toEqual({ status: 'acked', baseOffset: 1n })
    })

    test('a limit that was lowered is heard from the broker once, and known then', async () => {
      const [log, proxy] = [newLog(), await proxied()]
      const topic = await makeTopic(log, 1, { 'max.message.bytes': '40000' })
      const { producer } = newLog({ brokers: [proxy.broker] })
      const large = [record(null, { value: Buffer.alloc(20_000) })]
      await appended(producer, topic, 0, large)

      await log.admin.changeSettings(topic, { 'max.message.bytes': '10000' })
      const first = await until('the lower limit', async () => {
        const outcome = await producer.append({ topic, partition: 0 }, large)
        return outcome.status === 'refused' && outcome
      })
      const sent = proxy.asked('Produce')
      const second = await producer.append({ topic, partition: 0 }, large)

      expect([first, second]).toMatchObject([
        { status: 'refused', scope: 'record' },
        { status: 'refused', scope: 'record', reason: { message: expect.stringContaining('10000') } },
      ])
      expect(proxy.asked('Produce')).toBe(sent)
    })
  })
})
