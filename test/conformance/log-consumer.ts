import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LogConsumer } from '../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { RecordingListener, takeAll } from './log-listener.ts'
import { appended, type LogSubject, makeTopic, numbered, type OpenLog, soon, uniqueName } from './log-subject.ts'

const STOP_MS = 10_000

/** What every consumer of the log promises. */
export function logConsumerConformance(name: string, open: OpenLog): void {
  describe(`log consumer: ${name}`, () => {
    let subject: LogSubject
    let driver: LogDriver
    let group: string
    let started: LogConsumer[]

    beforeEach(async () => {
      subject = await open()
      driver = subject.driver()
      group = uniqueName('group')
      started = []
      await driver.producer.start(soon())
    })

    afterEach(async () => {
      await Promise.all(started.map((consumer) => consumer.stop(STOP_MS)))
      await driver.producer.stop(STOP_MS)
      await driver.admin.close()
      await subject.close()
    })

    async function startedConsumer(listener: RecordingListener, topics: readonly string[]): Promise<LogConsumer> {
      const consumer = driver.consumers.consumer(group, topics)
      started.push(consumer)
      await consumer.start(listener, soon())
      return consumer
    }

    describe('where it starts', () => {
      test('asks where to start, with what the partition holds, before any record', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(5))
        const seen: string[] = []
        const listener = new RecordingListener(
          () => (seen.push('assigned'), 0n),
          (batch) => (seen.push('batch'), takeAll(batch)),
        )

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length >= 5)

        expect(seen.slice(0, 2)).toEqual(['assigned', 'batch'])
        expect(listener.assigned).toMatchObject([{ partition: { topic, partition: 0 }, range: { earliest: 0n, latest: 5n } }])
      })

      test('starts before what is committed when the listener says so, with no new record', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(10))
        const first = new RecordingListener()
        const before = await startedConsumer(first, [topic])
        await first.until(() => first.records.length === 10)
        await before.stop(STOP_MS)
        expect(await subject.committed(group, topic, 0)).toBe(10n)

        const second = new RecordingListener(() => 4n)
        await startedConsumer(second, [topic])
        await second.until(() => second.records.length >= 6)

        expect(second.offsets()).toEqual([4n, 5n, 6n, 7n, 8n, 9n])
      })

      test('starts after what is committed when the listener says so', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(10))
        const listener = new RecordingListener(() => 8n)

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length >= 2)

        expect(listener.offsets()).toEqual([8n, 9n])
      })

      test('waits at the end of the log for the next record', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(3))
        const listener = new RecordingListener((_, range) => range.latest)

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.assigned.length === 1)
        await appended(driver.producer, topic, 0, numbered(1, 3))
        await listener.until(() => listener.records.length >= 1)

        expect(listener.values()).toEqual(['3'])
      })

      test('reads an empty topic as soon as something is appended', async () => {
        const topic = await makeTopic(driver, 2)
        const listener = new RecordingListener()

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.assigned.length === 2)
        await appended(driver.producer, topic, 1, numbered(1))
        await listener.until(() => listener.records.length >= 1)

        expect(listener.records).toMatchObject([{ topic, partition: 1, offset: 0n }])
      })

      test('asks again when the listener cannot say where to start', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(2))
        const listener = new RecordingListener(() => {
          if (listener.assigned.length === 1) throw new Error('the database is away')
          return 0n
        })

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length >= 2)

        expect(listener.assigned).toHaveLength(2)
      })

      test('asks again when the answer is outside of what the log holds, and reads nothing from another place', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(3))
        const listener = new RecordingListener(() => (listener.assigned.length === 1 ? 50n : 1n))

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length >= 2)

        expect(listener.assigned.length).toBeGreaterThanOrEqual(2)
        expect(listener.offsets()).toEqual([1n, 2n])
      })

      test('waits for a topic that is missing, and reads it once it is there', async () => {
        const topic = uniqueName('late')
        const listener = new RecordingListener()
        const consumer = driver.consumers.consumer(group, [topic])
        started.push(consumer)
        const joining = consumer.start(listener, soon())

        await driver.admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 1 }])
        await joining
        await appended(driver.producer, topic, 0, numbered(1))
        await listener.until(() => listener.records.length >= 1)

        expect(listener.values()).toEqual(['0'])
      })

      test('gives up waiting for a missing topic when the signal aborts, and names the topic', async () => {
        const topic = uniqueName('nowhere')
        const consumer = driver.consumers.consumer(group, [topic])
        started.push(consumer)

        await expect(consumer.start(new RecordingListener(), AbortSignal.timeout(700))).rejects.toThrow(topic)
      })
    })

    describe('what it hands over', () => {
      test('reads every record once and in order, per partition', async () => {
        const topic = await makeTopic(driver, 3)
        const listener = new RecordingListener()
        await startedConsumer(listener, [topic])

        for (let from = 0; from < 300; from += 20) {
          await Promise.all([0, 1, 2].map((partition) => appended(driver.producer, topic, partition, numbered(20, from))))
        }
        await listener.until(() => listener.records.length >= 900)

        const expected = Array.from({ length: 300 }, (_, index) => String(index))
        expect([0, 1, 2].map((partition) => listener.values(partition))).toEqual([expected, expected, expected])
      })

      test('hands over one batch of a partition at a time, and partitions side by side', async () => {
        const topic = await makeTopic(driver, 2)
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
        await startedConsumer(listener, [topic])

        for (let from = 0; from < 40; from += 10) {
          await Promise.all([0, 1].map((partition) => appended(driver.producer, topic, partition, numbered(10, from))))
        }
        await listener.until(() => listener.records.length >= 80)

        expect(Math.max(...together)).toBe(1)
      })

      test('gives the rest again when the listener took only a part', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(6))
        const listener = new RecordingListener(undefined, (batch) => (batch.records[0]?.offset ?? 0n) + 2n)

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.at(-1)?.offset === 5n && listener.records.length >= 12)

        expect(listener.offsets()).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 2n, 3n, 4n, 5n, 4n, 5n])
        expect(listener.assigned).toHaveLength(1)
      })

      test('goes on behind the batch when the listener wants to skip', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(3))
        const more = Promise.withResolvers<void>()
        const listener = new RecordingListener(undefined, async (batch) => {
          await more.promise
          return batch.records[0]?.offset === 0n ? 5n : takeAll(batch)
        })
        await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length >= 3)

        await appended(driver.producer, topic, 0, numbered(4, 3))
        more.resolve()
        await listener.until(() => listener.values().includes('6'))

        expect(listener.values()).toEqual(['0', '1', '2', '5', '6'])
      })

      test('asks again after a rejected batch and reads from where the listener then says', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(5))
        const listener = new RecordingListener(
          () => (listener.assigned.length === 1 ? 0n : 3n),
          (batch) => {
            if (listener.assigned.length === 1) throw new Error('the handler failed')
            return takeAll(batch)
          },
        )

        await startedConsumer(listener, [topic])
        await listener.until(() => listener.assigned.length >= 2 && listener.records.at(-1)?.offset === 4n && listener.records.length > 5)

        expect(listener.offsets().slice(-2)).toEqual([3n, 4n])
      })

      test('lets the other partitions go on while one rejects again and again', async () => {
        const topic = await makeTopic(driver, 2)
        const listener = new RecordingListener(undefined, (batch) => {
          if (batch.partition === 0) throw new Error('poison')
          return takeAll(batch)
        })
        await startedConsumer(listener, [topic])
        await appended(driver.producer, topic, 0, numbered(1))
        await listener.until(() => listener.offsets(0).length >= 2)

        for (let from = 0; from < 5; from++) {
          await appended(driver.producer, topic, 1, numbered(1, from))
          await listener.until(() => listener.values(1).length > from)
        }

        expect(listener.values(1)).toEqual(['0', '1', '2', '3', '4'])
      })

      test('lets the other partitions go on while one is slow', async () => {
        const topic = await makeTopic(driver, 2)
        const release = Promise.withResolvers<void>()
        const listener = new RecordingListener(undefined, async (batch) => {
          if (batch.partition === 0) await release.promise
          return takeAll(batch)
        })
        await startedConsumer(listener, [topic])
        await appended(driver.producer, topic, 0, numbered(1))
        await listener.until(() => listener.offsets(0).length === 1)

        for (let from = 0; from < 5; from++) {
          await appended(driver.producer, topic, 1, numbered(1, from))
          await listener.until(() => listener.values(1).length > from)
        }
        release.resolve()

        expect(listener.values(1)).toEqual(['0', '1', '2', '3', '4'])
      })
    })

    describe('the group', () => {
      test('commits the next offset, not the last one read', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(4))
        const listener = new RecordingListener(undefined, (batch) => (batch.records.length === 4 ? 3n : new Promise(() => undefined)))
        const consumer = await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length === 5)

        await consumer.stop(500)

        expect(await subject.committed(group, topic, 0)).toBe(3n)
      })

      test('shares the partitions between two members, and every record reaches one of them', async () => {
        const topic = await makeTopic(driver, 4)
        const listeners = [new RecordingListener((_, range) => range.latest), new RecordingListener((_, range) => range.latest)] as const
        await startedConsumer(listeners[0], [topic])
        await startedConsumer(listeners[1], [topic])
        await listeners[0].until(() => listeners[0].revoked.length >= 4 && listeners[0].assigned.length >= 6)
        await listeners[1].until(() => listeners[1].assigned.length >= 2)

        await Promise.all([0, 1, 2, 3].map((partition) => appended(driver.producer, topic, partition, numbered(1))))
        await Promise.all(listeners.map((listener) => listener.until(() => listener.records.length >= 2)))

        const read = listeners.map((listener) => listener.records.map(({ partition }) => partition))
        expect(read.flat().toSorted()).toEqual([0, 1, 2, 3])
        expect(read.map((partitions) => partitions.length)).toEqual([2, 2])
      })

      test('hands the partitions of a member that leaves to the others', async () => {
        const topic = await makeTopic(driver, 2)
        const positions = new Map<number, bigint>()
        const newListener = (): RecordingListener =>
          new RecordingListener(
            ({ partition }) => positions.get(partition) ?? 0n,
            (batch) => {
              positions.set(batch.partition, takeAll(batch))
              return takeAll(batch)
            },
          )
        const [leaving, staying] = [newListener(), newListener()]
        const first = await startedConsumer(leaving, [topic])
        await startedConsumer(staying, [topic])
        await staying.until(() => staying.assigned.length >= 1)

        await first.stop(STOP_MS)
        await staying.until(() => staying.assigned.length >= 3)
        await Promise.all([0, 1].map((partition) => appended(driver.producer, topic, partition, numbered(2))))
        await staying.until(() => staying.records.length >= 4)

        expect([staying.values(0), staying.values(1)]).toEqual([
          ['0', '1'],
          ['0', '1'],
        ])
      })

      test('aborts the signal of a running batch when a rebalance takes the partition, and waits for it before it starts again', async () => {
        const topic = await makeTopic(driver, 2)
        await appended(driver.producer, topic, 0, numbered(1))
        await appended(driver.producer, topic, 1, numbered(1))
        const seen: string[] = []
        const aborted = Promise.withResolvers<void>()
        const release = Promise.withResolvers<void>()
        const first = new RecordingListener(
          ({ partition }) => (seen.push(`assigned ${partition}`), 0n),
          async (batch, signal) => {
            if (seen.includes(`running ${batch.partition}`)) return takeAll(batch)
            seen.push(`running ${batch.partition}`)
            signal.addEventListener('abort', () => aborted.resolve())
            await release.promise
            seen.push(`ended ${batch.partition}`)
            return takeAll(batch)
          },
        )
        await startedConsumer(first, [topic])
        await first.until(() => first.records.length >= 2)

        await startedConsumer(new RecordingListener(), [topic])
        await aborted.promise
        release.resolve()
        await first.until(() => first.assigned.length >= 3)

        const kept = first.assigned[2]?.partition.partition ?? -1
        expect(first.revoked).toHaveLength(2)
        expect(seen.indexOf(`ended ${kept}`)).toBeLessThan(seen.lastIndexOf(`assigned ${kept}`))
      })

      test('reads several topics in one group', async () => {
        const topics = [await makeTopic(driver), await makeTopic(driver)]
        const listener = new RecordingListener()
        await startedConsumer(listener, topics)

        for (const topic of topics) await appended(driver.producer, topic, 0, numbered(2))
        await listener.until(() => listener.records.length >= 4)

        expect(new Set(listener.records.map((record) => record.topic))).toEqual(new Set(topics))
      })

      test('keeps groups apart: each reads everything', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(3))
        const listeners = [new RecordingListener(), new RecordingListener()]

        for (const listener of listeners) {
          const consumer = driver.consumers.consumer(uniqueName('group'), [topic])
          started.push(consumer)
          await consumer.start(listener, soon())
        }
        await Promise.all(listeners.map((listener) => listener.until(() => listener.records.length >= 3)))

        expect(listeners.map((listener) => listener.values())).toEqual([
          ['0', '1', '2'],
          ['0', '1', '2'],
        ])
      })
    })

    describe('how it stops', () => {
      test('waits for the running batch, commits it, and says that the partition is revoked', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(2))
        const release = Promise.withResolvers<void>()
        const listener = new RecordingListener(undefined, async (batch, signal) => {
          signal.addEventListener('abort', () => release.resolve())
          await release.promise
          return takeAll(batch)
        })
        const consumer = await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length === 2)

        await consumer.stop(STOP_MS)

        expect(await subject.committed(group, topic, 0)).toBe(2n)
        expect(listener.revoked).toEqual([{ topic, partition: 0 }])
      })

      test('does not wait longer than the deadline for a batch that never ends', async () => {
        const topic = await makeTopic(driver)
        await appended(driver.producer, topic, 0, numbered(1))
        const listener = new RecordingListener(undefined, () => new Promise(() => undefined))
        const consumer = await startedConsumer(listener, [topic])
        await listener.until(() => listener.records.length === 1)
        const began = performance.now()

        await consumer.stop(300)

        expect(performance.now() - began).toBeLessThan(5_000)
      })

      test('hands over nothing after it has stopped, and may be stopped twice', async () => {
        const topic = await makeTopic(driver)
        const listener = new RecordingListener()
        const consumer = await startedConsumer(listener, [topic])
        await listener.until(() => listener.assigned.length === 1)

        await Promise.all([consumer.stop(STOP_MS), consumer.stop(STOP_MS)])
        await appended(driver.producer, topic, 0, numbered(3))
        const witness = new RecordingListener()
        await startedConsumer(witness, [topic])
        await witness.until(() => witness.records.length >= 3)

        expect(listener.records).toEqual([])
      })

      test('may be stopped before it was started', async () => {
        const topic = await makeTopic(driver)

        await driver.consumers.consumer(group, [topic]).stop(STOP_MS)
      })
    })
  })
}
