import { crc32c } from '../../../src/adapters/wire/crc32c.ts'
import { recordBatchSize, writeRecordBatch } from '../../../src/adapters/wire/record-encoder.ts'
import type { LogRecord } from '../../../src/core/broker/log-producer.ts'

export interface BatchOverrides {
  readonly baseOffset?: bigint
  readonly attributes?: number
  readonly lastOffsetDelta?: number
  readonly producerId?: bigint
}

/** One record batch as a broker would send it. */
export function batchOf(records: readonly LogRecord[], overrides: BatchOverrides = {}): Buffer {
  const sizes = new Int32Array(records.length)
  const batch = Buffer.alloc(recordBatchSize(records, sizes))
  writeRecordBatch(batch, 0, records, sizes)
  return stamped(batch, { lastOffsetDelta: records.length - 1, ...overrides })
}

/** A batch whose records are replaced by compressed bytes. */
export function compressedBatch(compressed: Buffer, count: number, codec: number, baseOffset = 0n): Buffer {
  const header = batchOf([]).subarray(0, 61)
  const batch = Buffer.concat([header, compressed])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(count, 57)
  return stamped(batch, { attributes: codec, lastOffsetDelta: count - 1, baseOffset })
}

function stamped(batch: Buffer, overrides: BatchOverrides): Buffer {
  batch.writeBigInt64BE(overrides.baseOffset ?? 0n, 0)
  batch.writeInt16BE(overrides.attributes ?? 0, 21)
  batch.writeInt32BE(overrides.lastOffsetDelta ?? 0, 23)
  batch.writeBigInt64BE(overrides.producerId ?? -1n, 43)
  batch.writeUInt32BE(crc32c(batch, 21), 17)
  return batch
}
