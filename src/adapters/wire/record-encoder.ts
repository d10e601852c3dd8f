import { countPacked } from '../../core/broker/header-bytes.ts'
import type { HeaderPair, LogRecord, StoredRecord } from '../../core/broker/log-producer.ts'
import { behindPart, storedParts } from '../../core/broker/stored-record.ts'
import { crc32c } from './crc32c.ts'

/** Bytes of a record batch before its records: everything from the base offset to the number of records. */
export const BATCH_OVERHEAD = 61
const CRC_AT = 17
const CRC_FROM = 21
const MAGIC = 2
const LOOP_BYTES_MAX = 40
/** −1 in zigzag. */
const NONE = 1

/**
 * Removes from kafkajs: it allocates 512 zeroed bytes for every record and again for every header, and copies each batch
 * about three times; with six headers, 20 µs a record. Here sizes are computed first, then everything is written once.
 * The bytes are the same as kafkajs's.
 *
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
export function recordBatchSize(records: readonly LogRecord[], bodySizes: Int32Array): number {
  const base = baseTimestamp(records)
  let size = BATCH_OVERHEAD
  for (let index = 0; index < records.length; index++) {
    const record = records[index]
    if (record === undefined) break
    const body = recordBodySize(record, index, record.timestampMs - base)
    bodySizes[index] = body
    size += varintSize(body) + body
  }
  return size
}

/** Writes one uncompressed batch of magic 2 at `start`. @returns where it ends */
export function writeRecordBatch(target: Buffer, start: number, records: readonly LogRecord[], bodySizes: Int32Array): number {
  const base = baseTimestamp(records)
  const writer = new Writer(target, start + BATCH_OVERHEAD)
  let maxTimestamp = base
  for (let index = 0; index < records.length; index++) {
    const record = records[index]
    if (record === undefined) break
    maxTimestamp = Math.max(maxTimestamp, record.timestampMs)
    writer.record(record, index, record.timestampMs - base, bodySizes[index] ?? 0)
  }
  target.writeBigInt64BE(0n, start) // base offset: the broker's to set
  target.writeInt32BE(writer.at - start - 12, start + 8)
  target.writeInt32BE(0, start + 12) // leader epoch: the broker's to set
  target.writeInt8(MAGIC, start + 16)
  target.writeInt16BE(0, start + 21) // no compression, times of the producer
  target.writeInt32BE(records.length - 1, start + 23)
  target.writeBigInt64BE(BigInt(base), start + 27)
  target.writeBigInt64BE(BigInt(maxTimestamp), start + 35)
  target.writeBigInt64BE(-1n, start + 43) // no producer id: not idempotent
  target.writeInt16BE(0, start + 51)
  target.writeInt32BE(0, start + 53)
  target.writeInt32BE(records.length, start + 57)
  target.writeUInt32BE(crc32c(target, start + CRC_FROM, writer.at), start + CRC_AT)
  return writer.at
}

/** One record as it stands in a batch: its length, and what that counts. */
export function encodeRecord(record: LogRecord): Buffer {
  const body = recordBodySize(record, 0, 0)
  const target = Buffer.allocUnsafe(varintSize(body) + body)
  new Writer(target, 0).record(record, 0, 0, body)
  return target
}

function baseTimestamp(records: readonly LogRecord[]): number {
  let base = records[0]?.timestampMs ?? 0
  for (const record of records) if (record.timestampMs < base) base = record.timestampMs
  return base
}

function recordBodySize(record: LogRecord, offsetDelta: number, timestampDelta: number): number {
  let size = 1 + varintSize(timestampDelta) + varintSize(offsetDelta)
  if (record.stored !== undefined) return size + storedSize(record.stored)
  size += bytesSize(record.key) + bytesSize(record.value) + varintSize(record.headers.length)
  for (const [name, value] of record.headers) {
    const nameLength = Buffer.byteLength(name)
    size += varintSize(nameLength) + nameLength + bytesSize(value)
  }
  return size
}

function storedSize(record: StoredRecord): number {
  const { memory } = record
  const { key, value, headers } = storedParts(record)
  return (
    partSize(memory.readInt32BE(key)) + partSize(memory.readInt32BE(value)) + packedSize(memory, headers + 4, behindPart(memory, headers))
  )
}

/** Packed, a pair is two lengths of four bytes, the name and the value. */
function packedSize(memory: Buffer, start: number, end: number): number {
  let size = 0
  let count = 0
  for (let at = start; at < end; count++) {
    const [name, value] = [memory.readUInt32BE(at), memory.readUInt32BE(at + 4)]
    size += varintSize(name) + name + varintSize(value) + value
    at += 8 + name + value
  }
  return size + varintSize(count)
}

/** @param length −1: there is none */
function partSize(length: number): number {
  return length < 0 ? 1 : varintSize(length) + length
}

function bytesSize(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length
}

/** Bytes of a number that is not negative, as a zigzag varint. */
function varintSize(value: number): number {
  let size = 1
  for (let rest = value * 2; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}

class Writer {
  readonly #target: Buffer
  at: number

  constructor(target: Buffer, start: number) {
    this.#target = target
    this.at = start
  }

  record(record: LogRecord, offsetDelta: number, timestampDelta: number, bodySize: number): void {
    this.#varint(bodySize)
    this.#target[this.at++] = 0
    this.#varint(timestampDelta)
    this.#varint(offsetDelta)
    if (record.stored === undefined) this.#parts(record)
    else this.#stored(record.stored)
  }

  #parts({ key, value, headers }: LogRecord): void {
    this.#bytes(key)
    this.#bytes(value)
    this.#headers(headers)
  }

  #stored(record: StoredRecord): void {
    const { memory } = record
    const { key, value, headers } = storedParts(record)
    this.#storedPart(memory, key)
    this.#storedPart(memory, value)
    this.#packed(memory, headers + 4, behindPart(memory, headers))
  }

  #storedPart(memory: Buffer, at: number): void {
    const length = memory.readInt32BE(at)
    if (length < 0) {
      this.#target[this.at++] = NONE
      return
    }
    this.#varint(length)
    this.#part(memory, at + 4, at + 4 + length)
  }

  #headers(headers: readonly HeaderPair[]): void {
    this.#varint(headers.length)
    for (const header of headers) this.#header(header)
  }

  #packed(memory: Buffer, start: number, end: number): void {
    this.#varint(countPacked(memory, start, end))
    for (let at = start; at < end; ) {
      const name = memory.readUInt32BE(at)
      const value = memory.readUInt32BE(at + 4)
      this.#varint(name)
      this.#part(memory, at + 8, at + 8 + name)
      this.#varint(value)
      this.#part(memory, at + 8 + name, at + 8 + name + value)
      at += 8 + name + value
    }
  }

  /** For a few bytes a loop is faster than the call that copies. */
  #part(source: Buffer, start: number, end: number): void {
    if (end - start > LOOP_BYTES_MAX) {
      this.at += source.copy(this.#target, this.at, start, end)
      return
    }
    for (let from = start; from < end; from++) this.#target[this.at++] = source[from] ?? 0
  }

  #header([name, value]: HeaderPair): void {
    this.#varint(Buffer.byteLength(name))
    this.at += this.#target.write(name, this.at, 'utf8')
    this.#bytes(value)
  }

  #bytes(bytes: Buffer | null): void {
    if (bytes === null) {
      this.#target[this.at++] = NONE
      return
    }
    this.#varint(bytes.length)
    this.at += bytes.copy(this.#target, this.at)
  }

  #varint(value: number): void {
    let rest = value * 2
    while (rest >= 128) {
      this.#target[this.at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#target[this.at++] = rest
  }
}
