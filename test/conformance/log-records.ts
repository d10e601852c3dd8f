import { describe, expect } from 'vitest'
import type { ConsumedRecord } from '../../src/core/broker/log-consumer.ts'
import type { HeaderPair } from '../../src/core/broker/log-producer.ts'
import { casesOf } from './log-cases.ts'
import { LogFixture } from './log-fixture.ts'
import { RecordingListener } from './log-listener.ts'
import { appended, COMPACTED, makeTopic, numbered, type OpenLog, record } from './log-subject.ts'

/** What a log makes of records of every kind: what came in comes out, and what has gone is passed over in order. */
export function logRecordsConformance(name: string, open: OpenLog): void {
  describe(`log records: ${name}`, () => {
    const test = casesOf(name)
    const log = new LogFixture(open)

    async function readBack(topic: string, count: number, from = 0n): Promise<readonly ConsumedRecord[]> {
      const listener = new RecordingListener(() => from)
      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= count)
      return listener.records
    }

    /** Of three records in one batch, the one in the middle has these headers. */
    async function readAround(headers: readonly HeaderPair[]) {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, [record('a'), record('b', { key: Buffer.from('k'), headers }), record('c')])
      const read = await readBack(topic, 3)
      const neighbours = [read[0], read[2]].map((one) => `${one?.offset}: ${String(one?.value)}`)
      return { neighbours, flooded: read[1] }
    }

    /** Offsets 0 to 7: a b a b a c a b, of which compaction leaves c at 5, a at 6 and b at 7. */
    async function compacted(): Promise<string> {
      const topic = await makeTopic(log.driver, 1, COMPACTED)
      const keys = ['a', 'b', 'a', 'b', 'a', 'c', 'a', 'b']
      for (const [index, key] of keys.entries()) await appended(log.driver.producer, topic, 0, [keyed(key, String(index))])
      await log.subject.compact(topic)
      return topic
    }

    for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
      test(`reads what other clients compressed with ${codec}`, async () => {
        const topic = await makeTopic(log.driver)
        const values = Array.from({ length: 50 }, (_, index) => `value ${index} ${'of many alike '.repeat(10)}`)

        await log.subject.foreign.compressed(topic, codec, values)
        await appended(log.driver.producer, topic, 0, [record('behind it')])

        const read = await readBack(topic, 51)
        expect(read.map(({ value }) => value?.toString())).toEqual([...values, 'behind it'])
      })
    }

    test('reads headers of other clients, of any name and without a value', async () => {
      const topic = await makeTopic(log.driver)
      const headers = [
        ['__proto__', Buffer.from('a')],
        ['constructor', null],
        ['toString', Buffer.alloc(0)],
        ['count', Buffer.from([0, 0, 0, 42])],
        ['', Buffer.from('no name')],
      ] as const

      await log.subject.foreign.withHeaders(topic, headers)

      const read = await readBack(topic, 1)
      expect(read[0]?.headers).toEqual(headers.map(([key, value]) => [key, value ?? Buffer.alloc(0)]))
    })

    test('gives the same key, value and headers however late and however often they are asked for', async () => {
      const topic = await makeTopic(log.driver)
      const headers: HeaderPair[] = [
        ['first', Buffer.from('a')],
        ['second', Buffer.from('b')],
      ]
      await appended(log.driver.producer, topic, 0, [record('early', { headers })])
      for (let batch = 0; batch < 20; batch++) await appended(log.driver.producer, topic, 0, numbered(100))

      const [early] = await readBack(topic, 2_001)

      for (let time = 0; time < 2; time++) expect([early?.value?.toString(), early?.key, early?.headers]).toEqual(['early', null, headers])
    })

    test('shows nothing of an aborted transaction, and reads on behind it', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(1))
      await log.subject.foreign.aborted(topic)
      await appended(log.driver.producer, topic, 0, numbered(1, 1))

      const read = await readBack(topic, 2)

      expect(read.map(({ value }) => value?.toString())).toEqual(['0', '1'])
      expect(read[1]?.offset).toBeGreaterThan(2n) // at least a record, and the mark of the end
    })

    test('keeps a batch whole that inflates without end, and reads its neighbours', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(1))
      await log.subject.foreign.compressed(topic, 'gzip', ['\0'.repeat(80 * 1024 * 1024)])
      await appended(log.driver.producer, topic, 0, numbered(1, 1))

      const read = await readBack(topic, 3)

      expect(read).toMatchObject([{ offset: 0n }, { offset: 1n, key: null, unreadable: { code: 'BATCH_TOO_LARGE' } }, { offset: 2n }])
      expect(read[1]?.value?.length).toBeGreaterThan(10_000)
    })

    test('hands a tombstone over as a record without a value', async () => {
      const topic = await makeTopic(log.driver)

      await appended(log.driver.producer, topic, 0, [keyed('a', 'x'), record(null, { key: Buffer.from('a') })])

      const read = await readBack(topic, 2)
      expect(read.map(({ key, value }) => [key?.toString(), value?.toString()])).toEqual([
        ['a', 'x'],
        ['a', undefined],
      ])
    })

    test('passes over what compaction left empty, in order', async () => {
      const topic = await compacted()

      const read = await readBack(topic, 4)

      expect(read.map(({ offset }) => offset)).toEqual([5n, 6n, 7n, 8n])
    })

    test('starts in a gap of compaction at the next record', async () => {
      const topic = await compacted()

      const read = await readBack(topic, 3, 6n)

      expect(read.map(({ offset }) => offset)).toEqual([6n, 7n, 8n])
      expect(await log.driver.admin.rangeOf({ topic, partition: 0 })).toMatchObject({ latest: 9n })
    })

    test('refuses a record without a key for a compacted topic, and takes the next one', async () => {
      const topic = await makeTopic(log.driver, 1, COMPACTED)

      const refused = await log.driver.producer.append({ topic, partition: 0 }, [record('without a key')])

      expect(refused).toMatchObject({ status: 'refused', scope: 'record' })
      expect(await log.driver.producer.append({ topic, partition: 0 }, [keyed('a', 'x')])).toEqual({ status: 'acked', baseOffset: 0n })
    })

    test('tells what retention has left, and reads that', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(10))
      await log.subject.truncate(topic, 0, 6n)
      const listener = new RecordingListener((_, range) => range.earliest)

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 4)

      expect(listener.assigned[0]?.range).toMatchObject({ earliest: 6n, latest: 10n })
      expect(listener.offsets()).toEqual([6n, 7n, 8n, 9n])
    })

    test('asks again when retention has overtaken the group, and never jumps to the end by itself', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(10))
      await log.subject.truncate(topic, 0, 6n)
      const listener = new RecordingListener((_, range) => (listener.assigned.length === 1 ? 2n : range.earliest))

      await log.started(listener, [topic])
      await listener.until(() => listener.records.length >= 4)

      expect(listener.assigned.length).toBeGreaterThanOrEqual(2)
      expect(listener.offsets()).toEqual([6n, 7n, 8n, 9n])
    })

    test('reads what comes into a topic that retention has emptied', async () => {
      const topic = await makeTopic(log.driver)
      await appended(log.driver.producer, topic, 0, numbered(5))
      await log.subject.truncate(topic, 0, 5n)
      const listener = new RecordingListener((_, range) => range.earliest)

      await log.started(listener, [topic])
      await listener.until(() => listener.assigned.length === 1)
      await appended(log.driver.producer, topic, 0, numbered(1, 5))
      await listener.until(() => listener.records.length >= 1)

      expect(listener.assigned[0]?.range).toMatchObject({ earliest: 5n, latest: 5n })
      expect(listener.records).toMatchObject([{ offset: 5n }])
    })

    test('carries a record of nearly the largest size', async () => {
      const topic = await makeTopic(log.driver)
      const value = Buffer.alloc(1_040_000, 'x')

      await appended(log.driver.producer, topic, 0, [record(null, { value }), record('behind it')])

      const read = await readBack(topic, 2)
      expect(read[0]?.value?.equals(value)).toBe(true)
    })

    test('carries a batch of 20,000 records, in order', async () => {
      const topic = await makeTopic(log.driver)

      await appended(log.driver.producer, topic, 0, numbered(20_000))

      const read = await readBack(topic, 20_000)
      expect(read.every(({ offset, value }, index) => offset === BigInt(index) && value?.toString() === String(index))).toBe(true)
    })

    test('keeps a record with 20,000 headers whole as one that cannot be read, and reads its neighbours', async () => {
      const headers = Array.from({ length: 20_000 }, (_, index): HeaderPair => [`h${index}`, Buffer.from(String(index))])

      const { neighbours, flooded } = await readAround(headers)

      expect(neighbours).toEqual(['0: a', '2: c'])
      expect(flooded).toMatchObject({ offset: 1n, key: null, headers: [], unreadable: { code: 'HEADERS_TOO_LARGE' } })
      expect(fieldsOf(flooded?.value)).toEqual({ key: 'k', value: 'b', headers })
    })

    test('keeps a record with headers of 17 KiB whole as one that cannot be read, and reads its neighbours', async () => {
      const headers: HeaderPair[] = [['large', Buffer.alloc(17 * 1024, 'x')]]

      const { neighbours, flooded } = await readAround(headers)

      expect(neighbours).toEqual(['0: a', '2: c'])
      expect(flooded).toMatchObject({ offset: 1n, key: null, headers: [], unreadable: { code: 'HEADERS_TOO_LARGE' } })
      expect(fieldsOf(flooded?.value)).toEqual({ key: 'k', value: 'b', headers })
    })

    test('carries keys and values that are no text', async () => {
      const topic = await makeTopic(log.driver)
      const bytes = Buffer.from([0, 255, 1, 254, 0])

      await appended(log.driver.producer, topic, 0, [record(null, { key: bytes, value: bytes })])

      expect(await readBack(topic, 1)).toMatchObject([{ key: bytes, value: bytes }])
    })
  })
}

/** Reads a record as Kafka writes it, with nothing of what wrote it. */
function fieldsOf(raw: Buffer | null | undefined) {
  const bytes = raw ?? Buffer.alloc(0)
  let at = 0
  const varint = (): number => {
    let [zigzag, scale] = [0, 1]
    for (let byte = 0x80; byte >= 0x80; scale *= 128) {
      byte = bytes.readUInt8(at++)
      zigzag += (byte & 0x7f) * scale
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
  }
  const sized = (): Buffer => {
    const length = varint()
    at += length
    return bytes.subarray(at - length, at)
  }
  expect(varint()).toBe(bytes.length - at)
  at += 1 // attributes
  varint() // time
  varint() // offset
  const [key, value] = [String(sized()), String(sized())]
  const headers = Array.from({ length: varint() }, (): HeaderPair => [String(sized()), Buffer.from(sized())])
  expect(at).toBe(bytes.length)
  return { key, value, headers }
}

function keyed(key: string, value: string) {
  return record(value, { key: Buffer.from(key) })
}
