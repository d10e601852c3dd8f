import { gzipSync } from 'node:zlib'
import { compressionsAlgorithms } from '@platformatic/kafka'
import { expect, test } from 'vitest'
import { DamagedBatches } from '../../../src/adapters/wire/damaged-batches.ts'
import { decodeFetch } from '../../../src/adapters/wire/fetch-response.ts'
import { type BatchPlace, decodeRecords } from '../../../src/adapters/wire/record-decoder.ts'
import { numbered, record } from '../../conformance/log-subject.ts'
import { batchOf, compressedBatch } from './records.ts'
import { stock } from './stock.ts'
import { WireWriter } from './wire.ts'

const before = batchOf(numbered(2))
const after = batchOf(numbered(1), { baseOffset: 5n })

/** The batch with offsets 2 to 4, between two that can be read. */
async function readAround(batch: Buffer, place?: BatchPlace) {
  return await decodeRecords(Buffer.concat([before, batch, after]), [], place)
}

test.each([
  ['snappy', 2, compressionsAlgorithms.snappy.compressSync, 20],
  ['lz4', 3, compressionsAlgorithms.lz4.compressSync, 20],
])(
  'a batch that inflates without end (%s) is one unreadable record, and its neighbours are read',
  async (name, codec, compress, mebibytes) => {
    const bomb = compressedBatch(compress(Buffer.alloc(mebibytes * 1024 * 1024)), 3, codec, 2n)

    const read = await readAround(bomb)

    expect(read.map(({ offset }) => offset)).toEqual([0n, 1n, 4n, 5n])
    expect(read[2]).toMatchObject({
      key: null,
      headers: [],
      unreadable: { code: 'BATCH_TOO_LARGE', reason: expect.stringContaining(name) },
    })
    expect(read[2]).toMatchObject({ value: bomb })
  },
)

test('a batch compressed in a way that there is not is one unreadable record that names it and says what to do', async () => {
  const read = await readAround(compressedBatch(Buffer.alloc(20), 3, 5, 2n))

  expect(read.map(({ offset }) => offset)).toEqual([0n, 1n, 4n, 5n])
  const reason = expect.stringMatching(/offsets 2 to 4 .*codec 5.*gzip, snappy, lz4, zstd/)
  expect(read[2]).toMatchObject({ unreadable: { code: 'KAFKA_CODEC_UNKNOWN', reason } })
})

test('a batch of more records than a process should read at once is one unreadable record, before it is inflated', async () => {
  const crowd = compressedBatch(gzipSync(Buffer.alloc(10)), 250_001, 1, 2n)

  const read = await decodeRecords(Buffer.concat([before, crowd, batchOf(numbered(1), { baseOffset: 250_003n })]), [])

  expect(read.map(({ offset }) => offset)).toEqual([0n, 1n, 250_002n, 250_003n])
  expect(read[2]).toMatchObject({
    value: crowd,
    unreadable: { code: 'BATCH_TOO_LARGE', reason: expect.stringContaining('250001 records') },
  })
})

test('many records of one reply leave the event loop to others between their batches', async () => {
  const batches = Array.from({ length: 3 }, (_, index) => batchOf(numbered(60_000), { baseOffset: BigInt(index * 60_000) }))
  let turns = 0
  const timer = setInterval(() => turns++, 0)

  const read = await decodeRecords(Buffer.concat(batches), [])
  clearInterval(timer)

  expect(read).toHaveLength(180_000)
  expect(turns).toBeGreaterThan(0)
})

test('bytes that are no gzip, and a batch of Kafka before 0.11, are unreadable records', async () => {
  const noGzip = compressedBatch(Buffer.from('no gzip'), 3, 1, 2n)
  const old = batchOf(numbered(3), { baseOffset: 4n })
  old.writeInt8(1, 16)

  expect(await readAround(noGzip)).toMatchObject([{}, {}, { offset: 4n, unreadable: { code: 'BATCH_UNREADABLE' } }, { offset: 5n }])
  expect(await readAround(old)).toMatchObject([{}, {}, { offset: 4n, unreadable: { code: 'KAFKA_FORMAT_OLD' } }, { offset: 5n }])
})

test('a batch whose records end too early gives none of them', async () => {
  const batch = batchOf(numbered(3), { baseOffset: 2n })
  const short = compressedBatch(gzipSync(batch.subarray(61, -1)), 3, 1, 2n)

  expect((await readAround(short)).map(({ offset }) => offset)).toEqual([0n, 1n, 4n, 5n])
})

test('reading ends before a batch with a wrong checksum, and says where it starts', async () => {
  const damaged = batchOf(numbered(3), { baseOffset: 2n })
  damaged.writeUInt8(damaged.readUInt8(70) ^ 1, 70)
  const heard: bigint[] = []

  const read = await readAround(damaged, { end: 6n, onDamaged: (baseOffset) => heard.push(baseOffset) })

  expect(read.map(({ offset }) => offset)).toEqual([0n, 1n])
  expect(heard).toEqual([2n])
})

test('kafkajs does not look at the checksum, and reads what a flipped bit has made of it', async () => {
  const damaged = batchOf(numbered(1))
  damaged.writeUInt8(damaged.readUInt8(damaged.length - 2) ^ 1, damaged.length - 2)

  const [theirs] = await stock.decodeMessages(damaged)

  expect(theirs?.value?.toString()).toBe('1')
  expect(await decodeRecords(damaged, [])).toEqual([])
})

test('a damaged batch is fetched three times more, and counts of others do not matter', () => {
  const counts = new DamagedBatches()
  const orders = { topic: 'orders', partition: 0 }

  const answers = [1, 2, 3, 4, 5].map(() => counts.fetchAgain(orders, 2n))
  const another = counts.fetchAgain(orders, 7n)

  expect(answers).toEqual([true, true, true, false, false])
  expect(another).toBe(true)
})

test('an unreadable batch whose header was made up does not send the position beyond the end of the log', async () => {
  const old = batchOf(numbered(3), { baseOffset: 2n, lastOffsetDelta: 1_000_000, attributes: 3 })

  const read = await readAround(old, { end: 6n, onDamaged: () => undefined })

  expect(read.map(({ offset }) => offset)).toEqual([0n, 1n, 2n, 5n])
})

test('a small record does not keep the whole reply alive', async () => {
  const small = batchOf([record('small')])
  const large = batchOf([record(null, { value: Buffer.alloc(500_000) })])
  const reply = new WireWriter()
    .int32(0)
    .int16(0)
    .int32(0)
    .array(['orders'], (writer, topic) =>
      writer
        .text(topic)
        .array([small, large], (each, batch) =>
          each.int32(0).int16(0).int64(9n).int64(0n).int64(0n).int32(0).int32(-1).int32(batch.length).raw(batch),
        ),
    )
    .bytes()

  const { responses } = await decodeFetch(reply)

  const [first] = responses[0]?.partitions[0]?.messages ?? []
  const value = first !== undefined && 'value' in first ? first.value : null
  expect(String(value)).toBe('small')
  expect(value?.buffer.byteLength).toBeLessThan(100_000)
})
