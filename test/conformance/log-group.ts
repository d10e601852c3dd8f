import { describe, expect } from 'vitest'
import { casesOf } from './log-cases.ts'
import { LogFixture, STOP_MS } from './log-fixture.ts'
import { RecordingListener, takeAll, takeNothing } from './log-listener.ts'
import { appended, makeTopic, numbered, type OpenLog, soon, uniqueName } from './log-subject.ts'

/** What every consumer of the log promises about its group, and about leaving it. */
export function logGroupConformance(name: string, open: OpenLog): void {
  describe(`log group: ${name}`, () => {
    const test = casesOf(name)
    const log = new LogFixture(open)

    test('commits the next offset, not the last one read', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(4))
      const listener = new RecordingListener(undefined, (batch) => (batch.records.length === 4 ? 3n : new Promise(() => undefined)))
      const consumer = await log.started(listener, [topic])
      await listener.until(() => listener.records.length === 5)

      await consumer.stop(500)

      expect(await log.subject.committed(log.group, topic, 0)).toBe(3n)
    })

    test('shares the partitions between two members, and every record reaches one of them', async () => {
      const topic = await makeTopic(log.driver, 4)
      const listeners = [new RecordingListener((_, range) => range.latest), new RecordingListener((_, range) => range.latest)] as const
      await log.started(listeners[0], [topic])
      await log.started(listeners[1], [topic])
      await listeners[0].until(() => listeners[0].revoked.length >= 4 && listeners[0].assigned.length >= 6)
      await listeners[1].until(() => listeners[1].assigned.length >= 2)

      await Promise.all([0, 1, 2, 3].map((partition) => appended(log.driver.producer, topic, partition, numbered(1))))
      await Promise.all(listeners.map((listener) => listener.until(() => listener.records.length >= 2)))

      const read = listeners.map((listener) => listener.records.map(({ partition }) => partition))
      expect(read.flat().toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
      expect(read.map((partitions) => partitions.length)).toEqual([2, 2])
    })

    test('hands the partitions of a member that leaves to the others', async () => {
      const topic = await makeTopic(log.driver, 2)
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
      const first = await log.started(leaving, [topic])
      await log.started(staying, [topic])
      await staying.until(() => staying.assigned.length >= 1)

      await first.stop(STOP_MS)
      await staying.until(() => staying.assigned.length >= 3)
      await Promise.all([0, 1].map((partition) => appended(log.driver.producer, topic, partition, numbered(2))))
      await staying.until(() => staying.records.length >= 4)

      expect([staying.values(0), staying.values(1)]).toEqual([
        ['0', '1'],
        ['0', '1'],
      ])
    })

    test('aborts the signal of a running batch when a rebalance takes the partition, and waits for it before it starts again', async () => {
      const topic = await makeTopic(log.driver, 2)
      await appended(log.driver.producer, topic, 0, numbered(1))
      await appended(log.driver.producer, topic, 1, numbered(1))
      const seen: string[] = []
      const aborted = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      const first = new RecordingListener(
        ({ partition }) => {
          seen.push(`assigned ${partition}`)
          return 0n
        },
        async (batch, signal) => {
          if (seen.includes(`running ${batch.partition}`)) return takeAll(batch)
          seen.push(`running ${batch.partition}`)
          signal.addEventListener('abort', () => aborted.resolve())
          await release.promise
          seen.push(`ended ${batch.partition}`)
          return takeAll(batch)
        },
      )
      await log.started(first, [topic])
      await first.until(() => first.records.length >= 2)

      await log.started(new RecordingListener(), [topic])
      await aborted.promise
      release.resolve()
      await first.until(() => first.assigned.length >= 3)

      const kept = first.assigned[2]?.partition.partition ?? -1
      expect(first.revoked).toHaveLength(2)
      expect(seen.indexOf(`ended ${kept}`)).toBeLessThan(seen.lastIndexOf(`assigned ${kept}`))
    })

    test('reads several topics in one group', async () => {
      const topics = [await makeTopic(log.driver), await makeTopic(log.driver)]
      const listener = new RecordingListener()
      await log.started(listener, topics)

      for (const topic of topics) await appended(log.driver.producer, topic, 0, numbered(2))
      await listener.until(() => listener.records.length >= 4)

      expect(new Set(listener.records.map((record) => record.topic))).toEqual(new Set(topics))
    })

    test('reads the topics that are there, tells once which is missing, and reads it when it is there', async () => {
      const [there, late] = [await makeTopic(log.driver), uniqueName('late')]
      const positions = new Map<string, bigint>()
      const listener = new RecordingListener(
        ({ topic }) => positions.get(topic) ?? 0n,
        (batch) => {
          positions.set(batch.topic, takeAll(batch))
          return takeAll(batch)
        },
      )
      await log.started(listener, [late, there])

      await appended(log.driver.producer, there, 0, numbered(2))
      await listener.until(() => listener.records.length >= 2)
      expect(listener.missing).toEqual([late])
      await log.driver.admin.createTopics([{ name: late, partitions: 1, replicationFactor: 1 }])
      await appended(log.driver.producer, late, 0, numbered(2))
      await listener.until(() => listener.records.length >= 4)

      expect(listener.records.map(({ topic }) => topic)).toEqual([there, there, late, late])
      expect(listener.missing).toEqual([late])
    })

    test('tells when all topics are missing, and has not joined then', async () => {
      const topic = uniqueName('nowhere')
      const listener = new RecordingListener()
      const consumer = log.consumer([topic])

      const joining = consumer.start(listener, soon()).catch(() => undefined)
      await listener.until(() => listener.missing.length > 0)

      expect([listener.missing, consumer.joined]).toEqual([[topic], false])
      await consumer.stop(STOP_MS)
      await joining
    })

    test('has joined from its start to its stop', async () => {
      const topic = await makeTopic(log.driver)
      const consumer = log.consumer([topic])
      const before = consumer.joined

      await consumer.start(new RecordingListener(), soon())
      const between = consumer.joined
      await consumer.stop(STOP_MS)

      expect([before, between, consumer.joined]).toEqual([false, true, false])
    })

    test('keeps groups apart: each reads everything', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(3))
      const listeners = [new RecordingListener(), new RecordingListener()]

      for (const listener of listeners) {
        await log.started(listener, [topic], uniqueName('group'))
      }
      await Promise.all(listeners.map((listener) => listener.until(() => listener.records.length >= 3)))

      expect(listeners.map((listener) => listener.values())).toEqual([
        ['0', '1', '2'],
        ['0', '1', '2'],
      ])
    })

    test('waits for the running batch, commits it, and says that the partition is revoked', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(2))
      const release = Promise.withResolvers<void>()
      const listener = new RecordingListener(undefined, async (batch, signal) => {
        signal.addEventListener('abort', () => release.resolve())
        await release.promise
        return takeAll(batch)
      })
      const consumer = await log.started(listener, [topic])
      await listener.until(() => listener.records.length === 2)

      await consumer.stop(STOP_MS)

      expect(await log.subject.committed(log.group, topic, 0)).toBe(2n)
      expect(listener.revoked).toEqual([{ topic, partition: 0 }])
    })

    test('does not wait longer than the deadline for a batch that never ends', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(1))
      const listener = new RecordingListener(undefined, () => new Promise(() => undefined))
      const consumer = await log.started(listener, [topic])
      await listener.until(() => listener.records.length === 1)
      const began = performance.now()

      await consumer.stop(300)

      expect(performance.now() - began).toBeLessThan(5_000)
    })

    test('hands over nothing after it has stopped, and may be stopped twice', async () => {
      const topic = await makeTopic(log.driver)
      const listener = new RecordingListener()
      const consumer = await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length === 1)

      await Promise.all([consumer.stop(STOP_MS), consumer.stop(STOP_MS)])
      await appended(log.driver.producer, topic, 0, numbered(3))
      const witness = new RecordingListener()
      await log.started(witness, [topic])
      await witness.until(() => witness.records.length >= 3)

      expect(listener.records).toEqual([])
    })

    test('lets members with different topics each read theirs', async () => {
      const [shared, left, right] = [await makeTopic(log.driver, 2), await makeTopic(log.driver), await makeTopic(log.driver)]
      const listeners = [new RecordingListener((_, range) => range.latest), new RecordingListener((_, range) => range.latest)] as const
      await log.started(listeners[0], [shared, left])
      await log.started(listeners[1], [shared, right])
      const has = (listener: RecordingListener, topic: string): boolean => listener.assigned.some((one) => one.partition.topic === topic)
      await listeners[1].until(() => has(listeners[1], right) && has(listeners[1], shared))
      await listeners[0].until(() => listeners[0].assigned.length >= 5)

      for (const topic of [left, right]) await appended(log.driver.producer, topic, 0, numbered(1))
      await Promise.all([0, 1].map((partition) => appended(log.driver.producer, shared, partition, numbered(1))))
      await Promise.all(listeners.map((listener) => listener.until(() => listener.records.length >= 2)))

      expect(listeners.map((listener) => new Set(listener.records.map(({ topic }) => topic)))).toEqual([
        new Set([shared, left]),
        new Set([shared, right]),
      ])
    })

    test('takes no commit of a member for a partition that it has lost', async () => {
      const topic = await makeTopic(log.driver, 2)
      await Promise.all([0, 1].map((partition) => appended(log.driver.producer, topic, partition, numbered(3))))
      const release = Promise.withResolvers<void>()
      const late = new RecordingListener(undefined, async (batch, signal) => {
        if (late.assigned.length > 2) return await takeNothing(batch, signal)
        await release.promise
        return takeAll(batch)
      })
      await log.started(late, [topic])
      await late.until(() => late.records.length >= 6)
      const owner = new RecordingListener(undefined, (batch, signal) => (batch.records.length === 3 ? 1n : takeNothing(batch, signal)))
      const ownerConsumer = await log.started(owner, [topic])
      await owner.until(() => owner.records.length >= 5)
      const lost = owner.assigned[0]?.partition.partition ?? -1

      release.resolve()
      await late.until(() => late.assigned.length >= 3)
      await ownerConsumer.stop(STOP_MS)

      expect(await log.subject.committed(log.group, topic, lost)).toBe(1n)
    })

    test('gives a member that is too many nothing, and its place when another leaves', async () => {
      const topic = await makeTopic(log.driver)
      const [first, second] = [new RecordingListener(), new RecordingListener((_, range) => range.latest)]
      const one = await log.started(first, [topic])
      await first.until(() => first.assigned.length === 1)
      const other = await log.started(second, [topic])
      await first.until(() => first.assigned.length + second.assigned.length >= 2)
      const idle = second.assigned.length === 0 ? second : first

      await (idle === second ? one : other).stop(STOP_MS)
      const before = idle.assigned.length
      await idle.until(() => idle.assigned.length > 0 && (before > 0 || idle.assigned.length > before))
      await appended(log.driver.producer, topic, 0, numbered(1))
      await idle.until(() => idle.records.length >= 1)

      expect(idle.records).toMatchObject([{ offset: 0n }])
    })

    test('says of each assignment once that it is revoked', async () => {
      const topic = await makeTopic(log.driver, 2)
      const listener = new RecordingListener()
      const consumer = await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length === 2)
      await log.started(new RecordingListener(), [topic])
      await listener.until(() => listener.assigned.length >= 3)

      await consumer.stop(STOP_MS)

      expect(listener.revoked).toHaveLength(listener.assigned.length)
    })

    test('does not wait for a member that has left', async () => {
      const topic = await makeTopic(log.driver)
      const first = await log.started(new RecordingListener(), [topic])
      await first.stop(STOP_MS)
      const began = performance.now()
      const listener = new RecordingListener()

      await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length === 1)

      // A member that did not leave is waited for until its session of ten seconds is over.
      expect(performance.now() - began).toBeLessThan(8_000)
    })

    test('reads everything, in order per partition, while members come and go', async () => {
      const topic = await makeTopic(log.driver, 4)
      const positions = new Map<number, bigint>()
      const read = new Map<number, number[]>([0, 1, 2, 3].map((partition) => [partition, []]))
      const done = Promise.withResolvers<void>()
      const newListener = (): RecordingListener =>
        new RecordingListener(
          ({ partition }) => positions.get(partition) ?? 0n,
          (batch) => {
            read.get(batch.partition)?.push(...batch.records.map(({ value }) => Number(value)))
            positions.set(batch.partition, takeAll(batch))
            if ([0, 1, 2, 3].every((partition) => read.get(partition)?.includes(99))) done.resolve()
            return takeAll(batch)
          },
        )
      await log.started(newListener(), [topic])
      const appendAll = (from: number) =>
        Promise.all([0, 1, 2, 3].map((partition) => appended(log.driver.producer, topic, partition, numbered(25, from))))

      await appendAll(0)
      const second = await log.started(newListener(), [topic])
      await appendAll(25)
      await log.started(newListener(), [topic])
      await appendAll(50)
      await second.stop(STOP_MS)
      await appendAll(75)
      await done.promise

      for (const values of read.values()) {
        const firsts = values.filter((value, index) => values.indexOf(value) === index)
        expect(firsts).toEqual(Array.from({ length: 100 }, (_, index) => index))
      }
    })

    test('may be stopped before it was started', async () => {
      const topic = await makeTopic(log.driver)

      await expect(log.consumer([topic]).stop(STOP_MS)).resolves.toBeUndefined()
    })
  })
}
