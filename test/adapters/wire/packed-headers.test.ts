import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordBatchSize, writeRecordBatch } from '../../../src/adapters/wire/record-encoder.ts'
import { packHeaders } from '../../../src/core/broker/header-bytes.ts'
import type { HeaderPair, LogRecord } from '../../../src/core/broker/log-producer.ts'

const pairs: fc.Arbitrary<HeaderPair[]> = fc.array(
  fc.tuple(
    fc.string({ unit: 'grapheme', maxLength: 60 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  ),
  { maxLength: 12 },
)

function encoded(records: readonly LogRecord[]): Buffer {
  const sizes = new Int32Array(records.length)
  const target = Buffer.alloc(recordBatchSize(records, sizes))
  expect(writeRecordBatch(target, 0, records, sizes)).toBe(target.length)
  return target
}

test('packed headers are written as the pairs that they were made of', () => {
  fc.assert(
    fc.property(fc.array(pairs, { minLength: 1, maxLength: 5 }), (all) => {
      const plain = all.map((headers) => ({ key: null, value: Buffer.from('v'), headers, timestampMs: 1 }))
      const packed = all.map((headers) => ({
        key: null,
        value: Buffer.from('v'),
        headers: [],
        packedHeaders: packHeaders(headers),
        timestampMs: 1,
      }))

      expect(encoded(packed).equals(encoded(plain))).toBe(true)
    }),
  )
})
