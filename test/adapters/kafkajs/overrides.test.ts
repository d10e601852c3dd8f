import { createRequire } from 'node:module'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { KafkajsClient } from '../../../src/adapters/kafkajs/client.ts'
import { loadKafkajs } from '../../../src/adapters/kafkajs/internals.ts'
import { removeIdleTimerSpin } from '../../../src/adapters/kafkajs/overrides/idle-timer-spin.ts'
import { produceRequest } from '../../../src/adapters/kafkajs/produce-request.ts'
import { compressBatch } from '../../../src/adapters/wire/compress-batch.ts'
import { crc32c, portableCrc32c } from '../../../src/adapters/wire/crc32c.ts'
import { decodeRecords } from '../../../src/adapters/wire/record-decoder.ts'
import { encodeRecord } from '../../../src/adapters/wire/record-encoder.ts'
import { HEADER_BYTES_MAX, HEADERS_MAX } from '../../../src/core/broker/header-bytes.ts'
import type { HeaderPair, LogRecord } from '../../../src/core/broker/log-producer.ts'
import { numbered, record } from '../../conformance/log-subject.ts'
import { batchOf, compressedBatch } from './records.ts'
import { stock } from './stock.ts'

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
// Names that an object keeps as they are, so that kafkajs can be asked for the same.
const headers = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-zé][a-z0-9_]{0,12}$/), bytes), { selector: ([name]) => name, maxLength: 8 })
const records: fc.Arbitrary<LogRecord[]> = fc.array(
  fc.record({
    key: fc.option(bytes),
    value: fc.option(bytes),
    headers,
    timestampMs: fc.integer({ min: 1_600_000_000_000, max: 1_900_000_000_000 }),
  }),
  { minLength: 1, maxLength: 40 },
)

test('encodes a Produce request to the same bytes as kafkajs', async () => {
  await fc.assert(
    fc.asyncProperty(records, async (batch) => {
      const ours = await produceRequest([{ topic: 'örders', partition: 3, records: batch }]).request.encode()

      const messages = batch.map(({ timestampMs, headers: pairs, key, value }) => ({
        key,
        value,
        timestamp: timestampMs,
        headers: Object.fromEntries(pairs),
      }))
      expect(ours.buffer.equals(await stock.produceRequest('örders', 3, messages, 20_000))).toBe(true)
    }),
  )
})

/** What a reader of the record sees; its headers are read only now. */
function readOut(record: Awaited<ReturnType<typeof decodeRecords>>[number] | undefined) {
  if (record === undefined || 'isControlRecord' in record) return record
  const { offset, key, value, headers, timestampMs } = record
  return { offset, key, value, headers, timestampMs }
}

test('reads back what it wrote', async () => {
  await fc.assert(
    fc.asyncProperty(records, async (batch) => {
      const read = await decodeRecords(batchOf(batch, { baseOffset: 7n }), [])

      expect(read.map(readOut)).toEqual(batch.map((each, index) => ({ ...each, offset: 7n + BigInt(index) })))
    }),
  )
})

test.each([
  ['with native code where it is installed', crc32c],
  ['without it', portableCrc32c],
])('has the checksum of the standard, and of kafkajs for every length and place, %s', (_, checksum) => {
  expect(checksum(Buffer.from('123456789'))).toBe(0xe3069283)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 1_200, size: 'max' }), fc.nat(20), (array, from) => {
      expect(checksum(array, from)).toBe(stock.crc32c(Buffer.from(array).subarray(from)))
    }),
  )
})

test('reads 150,000 records of one batch, at which kafkajs overflows its stack', async () => {
  const batch = batchOf(Array.from({ length: 150_000 }, () => record(null)))

  await expect(stock.decodeMessages(batch)).rejects.toThrow(RangeError)

  expect(await decodeRecords(batch, [])).toHaveLength(150_000)
})

test('keeps every header with its name and place, where kafkajs loses names of object members and the order', async () => {
  const pairs: HeaderPair[] = [
    ['b', Buffer.from('1')],
    ['7', Buffer.from('2')],
    ['b', Buffer.from('3')],
    ['a', Buffer.from('4')],
  ]
  const batch = batchOf([record('x', { headers: pairs })])

  const [theirs] = await stock.decodeMessages(batch)
  expect(Object.keys(theirs?.headers ?? {})).toEqual(['7', 'b', 'a'])

  expect(await decodeRecords(batch, [])).toMatchObject([{ headers: pairs }])
})

const endless = Array.from({ length: 20_000 }, (_, index): HeaderPair => [`header-${index}`, Buffer.from('x')])

test('keeps a record whose headers go beyond the limits whole, and it alone is unreadable', async () => {
  const huge: HeaderPair[] = [
    ['large', Buffer.alloc(HEADER_BYTES_MAX)],
    ['after', Buffer.from('x')],
  ]
  const full = Array.from({ length: HEADERS_MAX }, (_, index): HeaderPair => [`h${index}`, Buffer.from('x')])
  const written = [record('a', { headers: endless }), record('b', { headers: huge }), record('c', { headers: full })]

  const [many, large, allowed] = await decodeRecords(batchOf(written), [])

  const [first, second] = written.map(encodeRecord)
  expect(many).toMatchObject({ offset: 0n, key: null, headers: [], unreadable: { code: 'HEADERS_TOO_LARGE' } })
  expect(many).toMatchObject({ value: first })
  expect(large).toMatchObject({ offset: 1n, key: null, headers: [], unreadable: { code: 'HEADERS_TOO_LARGE' } })
  expect(Buffer.from(Reflect.get(Object(large), 'value')).subarray(-100)).toEqual(second?.subarray(-100))
  expect(readOut(allowed)).toEqual({ offset: 2n, key: null, value: Buffer.from('c'), headers: full, timestampMs: written[2]?.timestampMs })
})

test('takes no longer for a record of 20,000 headers than for its bytes as a value, where kafkajs takes minutes', async () => {
  const flood = batchOf([record('a', { headers: endless })])
  const plain = batchOf([record(null, { value: Buffer.alloc(flood.length) })])
  const fastest = async (batch: Buffer): Promise<number> => {
    const times: number[] = []
    for (let run = 0; run < 20; run++) {
      const startedAt = performance.now()
      await decodeRecords(batch, [])
      times.push(performance.now() - startedAt)
    }
    return Math.min(...times)
  }

  const [flooded, valued] = [await fastest(flood), await fastest(plain)]

  // kafkajs needs 118 s for it. Both are most of all a checksum of 330 KB, a tenth of a millisecond; the bar is 50.
  expect(flooded).toBeLessThan(Math.max(20 * valued, 25))
})

test('hides an aborted transaction in which a key is four zero bytes, which kafkajs takes for its end', async () => {
  const [data, marker] = [0x10, 0x30]
  const zeroKey = record('aborted', { key: Buffer.alloc(4) })
  const batches = Buffer.concat([
    batchOf([zeroKey, record('aborted too')], { baseOffset: 0n, attributes: data, producerId: 9n }),
    batchOf([record('committed elsewhere')], { baseOffset: 2n }),
    batchOf([record(null)], { baseOffset: 3n, attributes: marker, producerId: 9n }),
    batchOf([record('its next transaction')], { baseOffset: 4n, attributes: data, producerId: 9n }),
  ])

  const read = await decodeRecords(batches, [{ producerId: 9n, firstOffset: 0n }])

  expect(read.map((each) => ('isControlRecord' in each ? each.offset : each.value?.toString()))).toEqual([
    1n,
    'committed elsewhere',
    3n,
    'its next transaction',
  ])
})

test('moves over offsets at the end of a batch that compaction has emptied', async () => {
  const read = await decodeRecords(batchOf([record('left')], { lastOffsetDelta: 90 }), [])

  expect(read.map(({ offset }) => offset)).toEqual([0n, 90n])
})

test('leaves a batch that a fetch cut off for the next fetch', async () => {
  const [whole, cut] = [batchOf(numbered(2)), batchOf(numbered(2), { baseOffset: 2n })]

  for (const length of [0, 11, 12, 60, cut.length - 1]) {
    expect(await decodeRecords(Buffer.concat([whole, cut.subarray(0, length)]), [])).toHaveLength(2)
  }
})

test.each([
  ['gzip', 1, gzipSync],
  ['zstd', 4, zstdCompressSync],
])('reads batches compressed with %s', async (_, codec, compress) => {
  const plain = batchOf(numbered(3)).subarray(61)

  expect(await decodeRecords(compressedBatch(compress(plain), 3, codec), [])).toHaveLength(3)
})

test.each(['gzip', 'zstd'] as const)('reads back what it has compressed with %s', async (compression) => {
  await fc.assert(
    fc.asyncProperty(records, async (batch) => {
      const read = await decodeRecords(await compressBatch(batch, compression), [])

      expect(read.map(readOut)).toEqual(batch.map((each, index) => ({ ...each, offset: BigInt(index) })))
    }),
  )
})

test('never reads past its bytes, whatever they are', async () => {
  const batch = batchOf(numbered(5))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(batch.length - 1), fc.nat(255)), { maxLength: 6 }), async (changes) => {
      const hostile = Buffer.from(batch)
      for (const [at, value] of changes) hostile[at] = value

      // Whether it is read or refused, it ends, and what comes out is made of these bytes.
      const read = await decodeRecords(hostile, []).catch(() => [])
      for (const each of read) readOut(each)
      expect(read.length).toBeLessThanOrEqual(hostile.length)
    }),
  )
})

test('arms no timer for a connection with nothing to send, where kafkajs arms one for ever', () => {
  const [theirs, ours] = [stock.requestQueue(), stock.requestQueue()]
  removeIdleTimerSpin(ours)

  theirs.checkPendingRequests()
  ours.checkPendingRequests()

  expect(theirs.throttleCheckTimeoutId).not.toBeNull()
  expect(ours.throttleCheckTimeoutId).toBeNull()
  theirs.destroy()
})

test('arms the timer while requests wait', () => {
  const queue = stock.requestQueue()
  removeIdleTimerSpin(queue)
  queue.pending.push({})

  queue.scheduleCheckPendingRequests()

  expect(queue.throttleCheckTimeoutId).not.toBeNull()
  queue.destroy()
})

test('looks for requests that timed out once a second, where kafkajs looks ten times, and ends them', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const looked = (queue: ReturnType<typeof stock.requestQueue>): number[] => {
    const looks: number[] = []
    let ended = 0
    const late = { sentAt: Date.now(), requestTimeout: 1_500, timeoutRequest: () => (ended += 1) }
    queue.isConnected = () => Boolean(looks.push(ended))
    queue.inflight.set(1, late)
    queue.scheduleRequestTimeoutCheck()
    vi.advanceTimersByTime(2_000)
    queue.destroy()
    return [looks.length, Math.min(1, ended)]
  }
  const mended = stock.requestQueue()
  removeIdleTimerSpin(mended)

  const [theirs, ours] = [looked(stock.requestQueue()), looked(mended)]

  expect(theirs[0]).toBeGreaterThan(10)
  expect(ours).toEqual([2, 1])
})

test('looks for requests that timed out only while a reply is due, where kafkajs looks for ever', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const looks = (queue: ReturnType<typeof stock.requestQueue>): number => {
    const isConnected = vi.fn<() => boolean>(() => true)
    queue.isConnected = isConnected
    queue.scheduleRequestTimeoutCheck()
    vi.advanceTimersByTime(5_000)
    queue.push({ entry: { correlationId: 7, resolve: () => undefined }, expectResponse: true, sendRequest: () => undefined })
    vi.advanceTimersByTime(2_500)
    queue.fulfillRequest({ correlationId: 7, payload: Buffer.alloc(0), size: 0 })
    vi.advanceTimersByTime(5_000)
    queue.destroy()
    return isConnected.mock.calls.length
  }
  const mended = stock.requestQueue()
  removeIdleTimerSpin(mended)

  const [theirs, ours] = [looks(stock.requestQueue()), looks(mended)]

  expect(theirs).toBeGreaterThan(100)
  expect(ours).toBe(3)
})

test('a request that is never answered times out on a connection that had been idle', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const queue = stock.requestQueue()
  removeIdleTimerSpin(queue)
  queue.isConnected = () => true
  queue.scheduleRequestTimeoutCheck()
  vi.advanceTimersByTime(60_000)
  const rejected = vi.fn<(error: unknown) => void>()

  queue.push({ entry: { correlationId: 7, reject: rejected }, expectResponse: true, sendRequest: () => undefined })
  vi.advanceTimersByTime(32_000)

  expect(rejected).toHaveBeenCalledOnce()
  expect(vi.getTimerCount()).toBe(0)
})

test('every connection of a client is one that our overrides have been at', async () => {
  const { cluster } = new KafkajsClient({ brokers: ['127.0.0.1:1'], clientId: 'test' })

  const { pool, send } = await cluster.connectionPoolBuilder.build({ host: '127.0.0.1', port: 1 })

  const names = pool.map(({ connect, processData, requestQueue }) =>
    [connect, processData, requestQueue.scheduleCheckPendingRequests, requestQueue.scheduleRequestTimeoutCheck].map(({ name }) => name),
  )
  expect(names).toHaveLength(2)
  for (const each of names) expect(each).toEqual(['connectOnce', 'readBounded', 'scheduleWhenWaiting', 'checkWhileInFlight'])
  expect(send.name).toBe('sendProduceUncopied')
})

test('refuses to start on another version of kafkajs, and says which one it needs', () => {
  const otherVersion = Object.assign(() => ({ version: '2.3.0' }), createRequire(import.meta.url))

  expect(() => loadKafkajs(otherVersion)).toThrow('npm install kafkajs@2.2.4')
})

test('refuses to start on a kafkajs in which a method is missing that it replaces, and names it', () => {
  const require = createRequire(import.meta.url)
  const changed = (file: string): unknown => (file.endsWith('requestQueue') ? class RequestQueue {} : require(file))

  expect(() => loadKafkajs(Object.assign(changed, require))).toThrow('scheduleCheckPendingRequests of kafkajs/src/network/requestQueue')
})
