import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { appended, type LogSubject, makeTopic, numbered, type OpenLog, soon, uniqueName } from './log-subject.ts'

/** What every admin client of the log promises. */
export function logAdminConformance(name: string, open: OpenLog): void {
  describe(`log admin: ${name}`, () => {
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

    test('names at least one broker', async () => {
      expect(await driver.admin.brokers()).not.toEqual([])
    })
  })
}
