import { afterEach, beforeEach, describe, expect } from 'vitest'
import type { ConsumedRecord } from '../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import type { HeaderPair } from '../../src/core/broker/log-producer.ts'
import { casesOf } from './log-cases.ts'
import { RecordingListener } from './log-listener.ts'
import { appended, type LogSubject, makeTopic, numbered, type OpenLog, record, soon, uniqueName } from './log-subject.ts'

/** What every producer of the log promises. */
export function logProducerConformance(name: string, open: OpenLog): void {
  describe(`log producer: ${name}`, () => {
    const test = casesOf(name)
    let subject: LogSubject
    let driver: LogDriver

    beforeEach(async () => {
      subject = await open()
      driver = subject.driver()
      await driver.producer.start(soon())
    })

    afterEach(async () => {
      await driver.producer.stop(5_000)
      await driver.admin.close()
      await subject.close()
    })

    async function readBack(topic: string, count: number): Promise<ConsumedRecord[]> {
      const listener = new RecordingListener()
      const consumer = driver.consumers.consumer(uniqueName('reader'), [topic])
      await consumer.start(listener, soon())
      await listener.until(() => listener.records.length >= count)
      await consumer.stop(5_000)
      return listener.records
    }

    test('tells the offset of the first record of each acknowledged batch', async () => {
      const topic = await makeTopic(driver)

      const first = await driver.producer.append({ topic, partition: 0 }, numbered(3))
      const second = await driver.producer.append({ topic, partition: 0 }, numbered(2))

      expect([first, second]).toEqual([
        { status: 'acked', baseOffset: 0n },
        { status: 'acked', baseOffset: 3n },
      ])
    })

    test('keeps the order of a partition over many batches', async () => {
      const topic = await makeTopic(driver)

      for (let from = 0; from < 500; from += 50) await appended(driver.producer, topic, 0, numbered(50, from))

      const values = (await readBack(topic, 500)).map(({ value }) => Number(value))
      expect(values).toEqual(Array.from({ length: 500 }, (_, index) => index))
    })

    test('appends to several partitions and topics side by side, each to its own', async () => {
      const topics = [await makeTopic(driver, 3), await makeTopic(driver, 3)]
      const targets = topics.flatMap((topic) => [0, 1, 2].map((partition) => ({ topic, partition })))

      const outcomes = await Promise.all(targets.map((target) => driver.producer.append(target, numbered(target.partition + 1))))

      expect(outcomes).toEqual(targets.map(() => ({ status: 'acked', baseOffset: 0n })))
      const ends = await Promise.all(targets.map(async (target) => (await driver.admin.rangeOf(target)).latest))
      expect(ends).toEqual([1n, 2n, 3n, 1n, 2n, 3n])
    })

    test('refuses an unknown topic and goes on with the others', async () => {
      const topic = await makeTopic(driver)
      const unknown = { topic: uniqueName('nowhere'), partition: 0 }

      const [refused, neighbour] = await Promise.all([
        driver.producer.append(unknown, numbered(1)),
        driver.producer.append({ topic, partition: 0 }, numbered(1)),
      ])
      const again = await driver.producer.append(unknown, numbered(1))
      const later = await driver.producer.append({ topic, partition: 0 }, numbered(1))

      expect([refused, again]).toMatchObject([
        { status: 'refused', scope: 'topic' },
        { status: 'refused', scope: 'topic' },
      ])
      expect([neighbour, later]).toMatchObject([{ status: 'acked' }, { status: 'acked' }])
    })

    test('appends to a topic that was created after it had been refused', async () => {
      const name = uniqueName('late')
      const before = await driver.producer.append({ topic: name, partition: 0 }, numbered(1))

      await driver.admin.createTopics([{ name, partitions: 1, replicationFactor: 1 }])

      expect(before).toMatchObject({ status: 'refused', scope: 'topic', reason: { code: 'TOPIC_MISSING' } })
      expect(await driver.producer.append({ topic: name, partition: 0 }, numbered(1))).toMatchObject({ status: 'acked' })
    })

    test('refuses a partition that the topic does not have', async () => {
      const topic = await makeTopic(driver, 2)

      const outcome = await driver.producer.append({ topic, partition: 2 }, numbered(1))

      expect(outcome).toMatchObject({ status: 'refused', scope: 'topic' })
    })

    test('refuses a record that is too large and takes the next one', async () => {
      const topic = await makeTopic(driver, 2)
      const large = record(null, { value: Buffer.alloc(2 * 1024 * 1024) })

      const [refused, neighbour] = await Promise.all([
        driver.producer.append({ topic, partition: 0 }, [large]),
        driver.producer.append({ topic, partition: 1 }, numbered(1)),
      ])
      const next = await driver.producer.append({ topic, partition: 0 }, numbered(1))

      expect(refused).toMatchObject({ status: 'refused', scope: 'record' })
      expect(neighbour).toEqual({ status: 'acked', baseOffset: 0n })
      expect(next).toEqual({ status: 'acked', baseOffset: 0n })
    })

    test('refuses a batch whose records are too large together, and none of them is written', async () => {
      const topic = await makeTopic(driver)
      const half = record(null, { value: Buffer.alloc(600 * 1024) })

      const both = await driver.producer.append({ topic, partition: 0 }, [half, half])

      expect(both).toMatchObject({ status: 'refused', scope: 'record' })
      expect((await driver.admin.rangeOf({ topic, partition: 0 })).latest).toBe(0n)
      expect(await driver.producer.append({ topic, partition: 0 }, [half])).toEqual({ status: 'acked', baseOffset: 0n })
    })

    test('keeps null apart from empty, in keys and values', async () => {
      const topic = await makeTopic(driver)
      const empty = Buffer.alloc(0)

      await appended(driver.producer, topic, 0, [record(null), record('', { key: empty }), record('v', { key: Buffer.from('k') })])

      const read = await readBack(topic, 3)
      expect(read.map(({ key, value }) => [key, value])).toEqual([
        [null, null],
        [empty, empty],
        [Buffer.from('k'), Buffer.from('v')],
      ])
    })

    test('keeps headers as pairs: order, repeated names, names of object members, bytes that are no text', async () => {
      const topic = await makeTopic(driver)
      const headers: HeaderPair[] = [
        ['b', Buffer.from('1')],
        ['__proto__', Buffer.from('2')],
        ['a', Buffer.from([0xff, 0x00, 0xfe])],
        ['b', Buffer.from('3')],
        ['constructor', Buffer.alloc(0)],
        ['schlüssel', Buffer.from('ü')],
        ['7', Buffer.from('a number as a name stays in its place')],
      ]

      await appended(driver.producer, topic, 0, [record('x', { headers }), record('y')])

      const read = await readBack(topic, 2)
      expect(read.map((each) => each.headers)).toEqual([headers, []])
    })

    test('keeps the time of each record, also when it goes back', async () => {
      const topic = await makeTopic(driver)
      const now = Date.now()
      const times = [now - 500, now - 1_000, now - 86_400]

      await appended(
        driver.producer,
        topic,
        0,
        times.map((timestampMs) => record('x', { timestampMs })),
      )

      expect((await readBack(topic, 3)).map(({ timestampMs }) => timestampMs)).toEqual(times)
    })

    test('takes its own copy: buffers may be used again after the outcome', async () => {
      const topic = await makeTopic(driver)
      const slab = Buffer.from('first')

      await appended(driver.producer, topic, 0, [record(null, { value: slab })])
      slab.write('SECOND')

      expect((await readBack(topic, 1)).map(({ value }) => value?.toString())).toEqual(['first'])
    })

    test('refuses a second batch of a partition while the first is in flight, and takes other partitions', async () => {
      const topic = await makeTopic(driver, 2)

      const [first, second, neighbour] = await Promise.all([
        driver.producer.append({ topic, partition: 0 }, numbered(1)),
        driver.producer.append({ topic, partition: 0 }, numbered(1)),
        driver.producer.append({ topic, partition: 1 }, numbered(1)),
      ])

      expect([first, neighbour]).toMatchObject([{ status: 'acked' }, { status: 'acked' }])
      expect(second).toMatchObject({ status: 'refused', scope: 'cluster', reason: { code: 'PARTITION_BUSY' } })
    })

    test('refuses an empty batch', async () => {
      const topic = await makeTopic(driver)

      expect(await driver.producer.append({ topic, partition: 0 }, [])).toMatchObject({
        status: 'refused',
        reason: { code: 'BATCH_EMPTY' },
      })
    })

    test('waits for what is in flight when it is stopped', async () => {
      const topic = await makeTopic(driver)
      await appended(driver.producer, topic, 0, numbered(1))

      const outcome = driver.producer.append({ topic, partition: 0 }, numbered(1, 1))
      await driver.producer.stop(5_000)

      expect(await outcome).toEqual({ status: 'acked', baseOffset: 1n })
    })

    test('goes on behind what another producer has written', async () => {
      const topic = await makeTopic(driver)
      await appended(driver.producer, topic, 0, numbered(3))
      await driver.producer.stop(5_000)

      const other = subject.driver()
      await other.producer.start(soon())

      expect(await other.producer.append({ topic, partition: 0 }, numbered(1))).toEqual({ status: 'acked', baseOffset: 3n })
      await other.producer.stop(5_000)
      await other.admin.close()
    })

    test('keeps each batch together while several producers write to a partition', async () => {
      const topic = await makeTopic(driver)
      const other = subject.driver()
      await other.producer.start(soon())

      await Promise.all(
        [driver, other].map(async ({ producer }, index) => {
          for (let round = 0; round < 10; round++) await appended(producer, topic, 0, numbered(5, index * 1_000 + round * 5))
        }),
      )

      const values = (await readBack(topic, 100)).map(({ value }) => Number(value))
      const batches = Array.from({ length: 20 }, (_, index) => values.slice(index * 5, index * 5 + 5))
      expect(batches.every((batch) => batch.every((value, index) => value === (batch[0] ?? 0) + index))).toBe(true)
      expect(values.filter((value) => value < 1_000)).toEqual(Array.from({ length: 50 }, (_, index) => index))
      await other.producer.stop(5_000)
      await other.admin.close()
    })

    test('takes batches for 32 partitions at a time', async () => {
      const topic = await makeTopic(driver, 32)
      const targets = Array.from({ length: 32 }, (_, partition) => ({ topic, partition }))

      for (let round = 0; round < 3; round++) {
        const outcomes = await Promise.all(targets.map((target) => driver.producer.append(target, numbered(10, round * 10))))
        expect(outcomes).toEqual(targets.map(() => ({ status: 'acked', baseOffset: BigInt(round * 10) })))
      }
    })

    test('refuses after it was stopped, and never rejects', async () => {
      const topic = await makeTopic(driver)

      await driver.producer.stop(1_000)

      expect(await driver.producer.append({ topic, partition: 0 }, numbered(1))).toMatchObject({ status: 'refused', scope: 'cluster' })
    })
  })
}
