import { describe, expect } from 'vitest'
import { casesOf } from './log-cases.ts'
import { LogFixture, STOP_MS } from './log-fixture.ts'
import { RecordingListener, takeAll } from './log-listener.ts'
import { appended, makeTopic, numbered, type OpenLog, soon, uniqueName } from './log-subject.ts'

/** What every consumer of the log promises about reading. */
export function logConsumerConformance(name: string, open: OpenLog): void {
  describe(`log consumer: ${name}`, () => {
    const test = casesOf(name)
    const log = new LogFixture(open)

    test('asks where to start, with what the partition holds, before any record', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(5))
      const seen: string[] = []
      const listener = new RecordingListener(
        () => {
          seen.push('assigned')
          return 0n
        },
        (batch) => {
          seen.push('batch')
          return takeAll(batch)
        },
      )

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 5)

      expect(seen.slice(0, 2)).toEqual(['assigned', 'batch'])
      expect(listener.assigned).toMatchObject([{ partition: { topic, partition: 0 }, range: { earliest: 0n, latest: 5n } }])
    })

    test('starts before what is committed when the listener says so, with no new record', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(10))
      const first = new RecordingListener()
      const before = await log.started(first, [topic])
      await first.until(() => first.records.length === 10)
      await before.stop(STOP_MS)
      expect(await log.subject.committed(log.group, topic, 0)).toBe(10n)

      const second = new RecordingListener(() => 4n)
      await log.started(second, [topic])
      await second.until(() => second.records.length >= 6)

      expect(second.offsets()).toEqual([4n, 5n, 6n, 7n, 8n, 9n])
    })

    test('starts after what is committed when the listener says so', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(10))
      const listener = new RecordingListener(() => 8n)

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 2)

      expect(listener.offsets()).toEqual([8n, 9n])
    })

    test('waits at the end of the log for the next record', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(3))
      const listener = new RecordingListener((_, range) => range.latest)

      await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length === 1)
      await appended(log.driver.producer, topic, 0, numbered(1, 3))
      await listener.until(() => listener.records.length >= 1)

      expect(listener.values()).toEqual(['3'])
    })

    test('reads an empty topic as soon as something is appended', async () => {
      const topic = await makeTopic(log.driver, 2)
      const listener = new RecordingListener()

      await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length === 2)
      await appended(log.driver.producer, topic, 1, numbered(1))
      await listener.until(() => listener.records.length >= 1)

      expect(listener.records).toMatchObject([{ topic, partition: 1, offset: 0n }])
    })

    test('asks again when the listener cannot say where to start', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(2))
      const listener = new RecordingListener(() => {
        if (listener.assigned.length === 1) throw new Error('the database is away')
        return 0n
      })

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 2)

      expect(listener.assigned).toHaveLength(2)
    })

    test('asks again when the answer is outside of what the log holds, and reads nothing from another place', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(3))
      const listener = new RecordingListener(() => (listener.assigned.length === 1 ? 50n : 1n))

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 2)

      expect(listener.assigned.length).toBeGreaterThanOrEqual(2)
      expect(listener.offsets()).toEqual([1n, 2n])
    })

    test('waits for a topic that is missing, and reads it once it is there', async () => {
      const topic = uniqueName('late')
      const listener = new RecordingListener()
      const consumer = log.consumer([topic])
      const joining = consumer.start(listener, soon())

      await log.driver.admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 1 }])
      await joining
      await appended(log.driver.producer, topic, 0, numbered(1))
      await listener.until(() => listener.records.length >= 1)

      expect(listener.values()).toEqual(['0'])
    })

    test('gives up waiting for a missing topic when the signal aborts, and names the topic', async () => {
      const topic = uniqueName('nowhere')
      const consumer = log.consumer([topic])

      await expect(consumer.start(new RecordingListener(), AbortSignal.timeout(700))).rejects.toThrow(topic)
    })

    test('reads every record once and in order, per partition', async () => {
      const topic = await makeTopic(log.driver, 3)
      const listener = new RecordingListener()
      await log.started(listener, [topic])

      for (let from = 0; from < 300; from += 20) {
        await Promise.all([0, 1, 2].map((partition) => appended(log.driver.producer, topic, partition, numbered(20, from))))
      }
      await listener.until(() => listener.records.length >= 900)

      const expected = Array.from({ length: 300 }, (_, index) => String(index))
      expect([0, 1, 2].map((partition) => listener.values(partition))).toEqual([expected, expected, expected])
    })

    test('hands over one batch of a partition at a time, and partitions side by side', async () => {
      const topic = await makeTopic(log.driver, 2)
      const running = new Map<number, number>()
      const together: number[] = []
      const both = Promise.withResolvers<void>()
      const listener = new RecordingListener(undefined, async (batch) => {
        running.set(batch.partition, (running.get(batch.partition) ?? 0) + 1)
        together.push(running.get(batch.partition) ?? 0)
        if (running.size === 2) both.resolve()
        await both.promise
        running.set(batch.partition, (running.get(batch.partition) ?? 0) - 1)
        return takeAll(batch)
      })
      await log.started(listener, [topic])

      for (let from = 0; from < 40; from += 10) {
        await Promise.all([0, 1].map((partition) => appended(log.driver.producer, topic, partition, numbered(10, from))))
      }
      await listener.until(() => listener.records.length >= 80)

      expect(Math.max(...together)).toBe(1)
    })

    test('gives the rest again when the listener took only a part', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(6))
      const listener = new RecordingListener(undefined, (batch) => (batch.records[0]?.offset ?? 0n) + 2n)

      await log.started(listener, [topic])
      await listener.until(() => listener.records.at(-1)?.offset === 5n && listener.records.length >= 12)

      expect(listener.offsets()).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 2n, 3n, 4n, 5n, 4n, 5n])
      expect(listener.assigned).toHaveLength(1)
    })

    test('goes on behind the batch when the listener wants to skip', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(3))
      const more = Promise.withResolvers<void>()
      const listener = new RecordingListener(undefined, async (batch) => {
        await more.promise
        return batch.records[0]?.offset === 0n ? 5n : takeAll(batch)
      })
      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 3)

      await appended(log.driver.producer, topic, 0, numbered(4, 3))
      more.resolve()
      await listener.until(() => listener.values().includes('6'))

      expect(listener.values()).toEqual(['0', '1', '2', '5', '6'])
    })

    test('asks again after a rejected batch and reads from where the listener then says', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(5))
      const listener = new RecordingListener(
        () => (listener.assigned.length === 1 ? 0n : 3n),
        (batch) => {
          if (listener.assigned.length === 1) throw new Error('the handler failed')
          return takeAll(batch)
        },
      )

      await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length >= 2 && listener.records.at(-1)?.offset === 4n && listener.records.length > 5)

      expect(listener.offsets().slice(-2)).toEqual([3n, 4n])
    })

    test('lets the other partitions go on while one rejects again and again', async () => {
      const topic = await makeTopic(log.driver, 2)
      const listener = new RecordingListener(undefined, (batch) => {
        if (batch.partition === 0) throw new Error('poison')
        return takeAll(batch)
      })
      await log.started(listener, [topic])
      await appended(log.driver.producer, topic, 0, numbered(1))
      await listener.until(() => listener.offsets(0).length >= 2)

      for (let from = 0; from < 5; from++) {
        await appended(log.driver.producer, topic, 1, numbered(1, from))
        await listener.until(() => listener.values(1).length > from)
      }

      expect(listener.values(1)).toEqual(['0', '1', '2', '3', '4'])
    })

    test('starts each partition where the listener says', async () => {
      const topic = await makeTopic(log.driver, 3)
      await Promise.all([0, 1, 2].map((partition) => appended(log.driver.producer, topic, partition, numbered(5))))
      const listener = new RecordingListener(({ partition }) => BigInt(partition * 2))

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 9)

      expect([0, 1, 2].map((partition) => listener.offsets(partition))).toEqual([[0n, 1n, 2n, 3n, 4n], [2n, 3n, 4n], [4n]])
    })

    test('stays a member while its only partition rejects and pauses', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(1))
      const listener = new RecordingListener(undefined, () => {
        throw new Error('poison')
      })

      const consumer = await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 4)

      expect([consumer.joined, listener.revoked, listener.failures]).toEqual([true, [], []])
    })

    test('reads two topics of one name prefix apart', async () => {
      const topic = await makeTopic(log.driver)
      const longer = `${topic}-more`
      await log.driver.admin.createTopics([{ name: longer, partitions: 1, replicationFactor: 1 }])
      await appended(log.driver.producer, topic, 0, numbered(1))
      await appended(log.driver.producer, longer, 0, numbered(1, 7))
      const listener = new RecordingListener()

      await log.started(listener, [longer])
      await listener.until(() => listener.records.length >= 1)

      expect(listener.records.map((one) => [one.topic, one.value?.toString()])).toEqual([[longer, '7']])
    })

    test('lets the other partitions go on while one is slow', async () => {
      const topic = await makeTopic(log.driver, 2)
      const release = Promise.withResolvers<void>()
      const listener = new RecordingListener(undefined, async (batch) => {
        if (batch.partition === 0) await release.promise
        return takeAll(batch)
      })
      await log.started(listener, [topic])
      await appended(log.driver.producer, topic, 0, numbered(1))
      await listener.until(() => listener.offsets(0).length === 1)

      for (let from = 0; from < 5; from++) {
        await appended(log.driver.producer, topic, 1, numbered(1, from))
        await listener.until(() => listener.values(1).length > from)
      }
      release.resolve()

      expect(listener.values(1)).toEqual(['0', '1', '2', '3', '4'])
    })
  })
}
