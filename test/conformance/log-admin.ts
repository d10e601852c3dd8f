import { afterEach, beforeEach, describe, expect } from 'vitest'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { until } from '../kit/wait.ts'
import { casesOf } from './log-cases.ts'
import { RecordingListener, takeAll, takeNothing } from './log-listener.ts'
import { appended, type LogSubject, makeTopic, numbered, type OpenLog, soon, uniqueName } from './log-subject.ts'

/** What every admin client of the log promises. */
export function logAdminConformance(name: string, open: OpenLog): void {
  describe(`log admin: ${name}`, () => {
    const test = casesOf(name)
    let subject: LogSubject
    let driver: LogDriver

    beforeEach(async () => {
      subject = await open()
      driver = subject.driver()
    })

    afterEach(async () => {
      await driver.admin.close()
      await subject.close()
    })

    test('creates what is missing, leaves the rest as it is, and names what it created', async () => {
      const [old, fresh] = [uniqueName('old'), uniqueName('fresh')]
      await driver.admin.createTopics([{ name: old, partitions: 1, replicationFactor: 1 }])

      const created = await driver.admin.createTopics([
        { name: old, partitions: 4, replicationFactor: 1 },
        { name: fresh, partitions: 3, replicationFactor: 1 },
      ])

      expect(created).toEqual([fresh])
      expect([await driver.admin.partitionsOf(old), await driver.admin.partitionsOf(fresh)]).toEqual([1, 3])
    })

    test('knows no partitions of a topic that is not there, and answers on', async () => {
      const topic = await makeTopic(driver, 2)

      expect(await driver.admin.partitionsOf(uniqueName('nowhere'))).toBeUndefined()

      expect(await driver.admin.partitionsOf(topic)).toBe(2)
    })

    test('tells what a partition holds', async () => {
      const topic = await makeTopic(driver)
      await driver.producer.start(soon())
      const before = await driver.admin.rangeOf({ topic, partition: 0 })

      await appended(driver.producer, topic, 0, numbered(7))

      expect(before).toMatchObject({ earliest: 0n, latest: 0n })
      expect(await driver.admin.rangeOf({ topic, partition: 0 })).toMatchObject({ earliest: 0n, latest: 7n })
      await driver.producer.stop(1_000)
    })

    test('says which topic is missing when asked for its range', async () => {
      const topic = uniqueName('nowhere')

      await expect(driver.admin.rangeOf({ topic, partition: 0 })).rejects.toThrow(topic)
    })

    test('says that a topic does not have such a partition', async () => {
      const topic = await makeTopic(driver, 2)

      await expect(driver.admin.rangeOf({ topic, partition: 2 })).rejects.toMatchObject({ name: 'StuckError', code: 'TOPIC_MISSING' })
    })

    test('describes a topic as it was made, and none that is not there', async () => {
      const name = uniqueName('described')
      await driver.admin.createTopics([{ name, partitions: 3, replicationFactor: 1, settings: { 'retention.ms': '86400000' } }])

      expect(await driver.admin.describeTopic(name)).toMatchObject({
        partitions: 3,
        replicationFactor: 1,
        settings: { 'retention.ms': '86400000' },
      })
      expect(await driver.admin.describeTopic(uniqueName('nowhere'))).toBeUndefined()
    })

    test('changes settings of a topic and leaves the others', async () => {
      const topic = await makeTopic(driver, 1, { 'retention.ms': '86400000', 'cleanup.policy': 'delete' })

      await driver.admin.changeSettings(topic, { 'retention.ms': '3600000', 'max.message.bytes': '2000000' })

      expect((await driver.admin.describeTopic(topic))?.settings).toEqual({
        'retention.ms': '3600000',
        'cleanup.policy': 'delete',
        'max.message.bytes': '2000000',
      })
    })

    test('refuses a setting that there is not, and changes none', async () => {
      const topic = await makeTopic(driver, 1, { 'retention.ms': '86400000' })

      await expect(driver.admin.changeSettings(topic, { 'retention.ms': '1', 'no.such.setting': 'x' })).rejects.toMatchObject({
        name: 'ConfigurationError',
        code: 'TOPIC_SETTINGS_REFUSED',
        message: expect.stringContaining('no.such.setting'),
      })
      expect((await driver.admin.describeTopic(topic))?.settings).toEqual({ 'retention.ms': '86400000' })
    })

    test('raises the partitions of a topic, which keeps what it has, and never lowers them', async () => {
      const topic = await makeTopic(driver, 2)
      await driver.producer.start(soon())
      await appended(driver.producer, topic, 1, numbered(3))

      await driver.admin.raisePartitions(topic, 4)

      expect(await driver.admin.partitionsOf(topic)).toBe(4)
      expect(await driver.admin.rangeOf({ topic, partition: 1 })).toMatchObject({ latest: 3n })
      expect(await driver.producer.append({ topic, partition: 3 }, numbered(1))).toEqual({ status: 'acked', baseOffset: 0n })
      await expect(driver.admin.raisePartitions(topic, 3)).rejects.toMatchObject({ code: 'TOPIC_PARTITIONS_REFUSED' })
      await driver.producer.stop(1_000)
    })

    test('tells a topic that was made again from the one before: by its id, or by offsets that went back', async () => {
      const topic = await makeTopic(driver)
      await driver.producer.start(soon())
      await appended(driver.producer, topic, 0, numbered(3))
      const before = await driver.admin.rangeOf({ topic, partition: 0 })
      await driver.producer.stop(1_000)

      await subject.deleteTopic(topic)
      await driver.admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 1 }])
      // The broker may still answer for the one that it is about to drop, and then for a moment for none.
      const after = await until('the range of the new topic', async () => {
        const range = await driver.admin.rangeOf({ topic, partition: 0 })
        return range.latest < before.latest && range
      })

      expect(after.latest).toBe(0n)
      expect(after.topicId === null || after.topicId !== before.topicId).toBe(true)
    })

    test('lists topics by name, and none of the log itself', async () => {
      const names = [await makeTopic(driver), await makeTopic(driver)].toSorted()

      const listed = await driver.admin.listTopics()

      expect(listed.filter((name) => names.includes(name))).toEqual(names)
      expect(listed.filter((name) => name.startsWith('__'))).toEqual([])
    })

    test('tells what each group has not read of a topic', async () => {
      const [topic, group] = [await makeTopic(driver, 2), uniqueName('reader')]
      await driver.producer.start(soon())
      await Promise.all([0, 1].map((partition) => appended(driver.producer, topic, partition, numbered(4))))
      const listener = new RecordingListener(undefined, (batch, signal) => {
        if (batch.partition === 0) return takeAll(batch)
        return batch.records[0]?.offset === 0n ? 1n : takeNothing(batch, signal)
      })
      const consumer = driver.consumers.consumer(group, [topic])
      await consumer.start(listener, soon())
      await listener.until(() => listener.offsets(0).length >= 4 && listener.offsets(1).length > 4)
      await consumer.stop(5_000)

      const lags = await driver.admin.lagsOf(topic)

      expect(lags).toEqual([{ group, lag: 3n }])
      await driver.producer.stop(1_000)
    })

    test('is asked nothing after it was closed', async () => {
      const topic = await makeTopic(driver)

      await driver.admin.close()

      await expect(driver.admin.partitionsOf(topic)).rejects.toMatchObject({ name: 'TransientError', code: 'STOPPED' })
    })

    test('names at least one broker', async () => {
      expect(await driver.admin.brokers()).not.toEqual([])
    })
  })
}
