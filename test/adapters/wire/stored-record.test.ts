import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordBatchSize, writeRecordBatch } from '../../../src/adapters/wire/record-encoder.ts'
import { packHeaders } from '../../../src/core/broker/header-bytes.ts'
import type { HeaderPair, LogRecord, StoredRecord } from '../../../src/core/broker/log-producer.ts'
import { checkStoredHeaders } from '../../../src/core/broker/stored-record.ts'

const bytes = fc.uint8Array({ maxLength: 300 }).map((given) => Buffer.from(given))
const pairs: fc.Arbitrary<HeaderPair[]> = fc.array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 60 }), bytes), { maxLength: 12 })
const records: fc.Arbitrary<LogRecord[]> = fc.array(
  fc.record({ key: fc.option(bytes), value: fc.option(bytes), headers: pairs, timestampMs: fc.nat() }),
  { minLength: 1, maxLength: 5 },
)

function encoded(batch: readonly LogRecord[]): Buffer {
  const sizes = new Int32Array(batch.length)
  const target = Buffer.alloc(recordBatchSize(batch, sizes))
  expect(writeRecordBatch(target, 0, batch, sizes)).toBe(target.length)
  return target
}

/** Somewhere in larger memory. */
function stored({ key, value, headers }: LogRecord): StoredRecord {
  const parts = [key, value, packHeaders(headers)].map((part) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(part?.length ?? -1)
    return Buffer.concat([length, part ?? Buffer.alloc(0)])
  })
  return { memory: Buffer.concat([Buffer.alloc(7, 'x'), ...parts, Buffer.alloc(300, 'x')]), at: 7 }
}

test('a stored record is written as the one that it was made of', () => {
  fc.assert(
    fc.property(records, (plain) => {
      const kept = plain.map((record) => ({ ...record, key: null, value: null, headers: [], stored: stored(record) }))

      expect(encoded(kept).equals(encoded(plain))).toBe(true)
    }),
  )
})

test('stored headers are checked within their own bytes', () => {
  const record: LogRecord = { key: null, value: Buffer.from('v'), headers: [['name', Buffer.from('value')]], timestampMs: 0 }
  const whole = stored(record)
  const torn = stored(record)
  // One byte less of headers than there are: what follows in memory is not theirs.
  torn.memory.writeInt32BE(torn.memory.readInt32BE(7 + 4 + 5) - 1, 7 + 4 + 5)

  checkStoredHeaders(whole)

  expect(() => checkStoredHeaders(torn)).toThrow(expect.objectContaining({ code: 'HEADERS_CORRUPT' }))
})
