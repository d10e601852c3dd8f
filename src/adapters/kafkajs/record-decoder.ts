import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import { PermanentError } from '../../foundation/errors.ts'
import { ByteReader } from './byte-reader.ts'
import { readHeaders } from './overrides/quadratic-headers.ts'

/**
 * An offset that holds nothing for a listener: a control record, a record of an aborted transaction, or the end of a
 * batch that compaction emptied. kafkajs moves its position over it and never shows it.
 */
export interface Placeholder {
  readonly offset: bigint
  readonly isControlRecord: true
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

const BATCH_OVERHEAD = 61
const MAGIC = 2
const CODEC_MASK = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
/** A fetched batch is at most a few megabytes; what inflates beyond this is an attack on our memory. */
const INFLATED_BYTES_MAX = 64 * 1024 * 1024

const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const inflateGzip = promisify(gunzip)
const inflateZstd = promisify(zstdDecompress)

interface BatchHeader {
  readonly baseOffset: bigint
  readonly attributes: number
  readonly lastOffset: bigint
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: bigint
  readonly count: number
}

/**
 * Reads the record batches of one partition, in one walk.
 *
 * Removes from kafkajs: a call stack overflow at about 120,000 records (`push(...batch)`), unbounded inflation, aborted
 * records shown after a record whose key is four zero bytes, and one fetch per offset through what compaction left empty.
 */
export async function decodeRecords(bytes: Buffer, aborted: readonly AbortedTransaction[]): Promise<(ConsumedRecord | Placeholder)[]> {
  const records: (ConsumedRecord | Placeholder)[] = []
  const filter = new AbortedFilter(aborted)
  const reader = new ByteReader(bytes)
  while (reader.left >= BATCH_OVERHEAD) {
    const start = reader.at
    const baseOffset = reader.int64()
    const length = reader.int32()
    if (length > reader.left) break // a fetch may end in the middle of a batch
    reader.skip(length)
    const header = readHeader(new ByteReader(bytes, start + 12, reader.at), baseOffset)
    const body = new ByteReader(bytes, start + BATCH_OVERHEAD, reader.at)
    if (filter.shows(header)) appendRecords(records, await inflated(body, header), header)
    // The last offset of the batch may have been compacted away; the position still has to pass it.
    const last = records.at(-1)
    if (last === undefined || last.offset < header.lastOffset) records.push({ offset: header.lastOffset, isControlRecord: true })
  }
  return records
}

function readHeader(reader: ByteReader, baseOffset: bigint): BatchHeader {
  reader.skip(4) // leader epoch
  const magic = reader.int8()
  if (magic !== MAGIC) {
    throw new PermanentError(
      'KAFKA_FORMAT_OLD',
      `A batch at offset ${baseOffset} has the format ${magic} of Kafka before 0.11, which is not read. Let Kafka rewrite the topic, or start the group behind it.`,
    )
  }
  reader.skip(4) // CRC
  const attributes = reader.int16()
  const lastOffset = baseOffset + BigInt(reader.int32())
  const baseTimestamp = Number(reader.int64())
  const maxTimestamp = Number(reader.int64())
  const producerId = reader.int64()
  reader.skip(6) // producer epoch, first sequence
  return { baseOffset, attributes, lastOffset, baseTimestamp, maxTimestamp, producerId, count: reader.int32() }
}

function appendRecords(records: (ConsumedRecord | Placeholder)[], reader: ByteReader, header: BatchHeader): void {
  const appendTime = (header.attributes & LOG_APPEND_TIME) !== 0
  for (let index = 0; index < header.count; index++) {
    const length = reader.varint()
    const start = reader.skip(length)
    const record = new ByteReader(reader.bytes, start, start + length)
    record.skip(1) // attributes, none so far
    const timestampMs = header.baseTimestamp + record.varlong()
    const offset = header.baseOffset + BigInt(record.varint())
    const key = record.varintBytes()
    const value = record.varintBytes()
    const headers = readHeaders(record)
    records.push({ offset, key, value, headers, timestampMs: appendTime ? header.maxTimestamp : timestampMs })
  }
}

async function inflated(body: ByteReader, header: BatchHeader): Promise<ByteReader> {
  const codec = header.attributes & CODEC_MASK
  if (codec === 0) return body
  const compressed = body.bytes.subarray(body.at, body.at + body.left)
  if (codec === 1) return new ByteReader(await inflateGzip(compressed, { maxOutputLength: INFLATED_BYTES_MAX }))
  if (codec === 4) return new ByteReader(await inflateZstd(compressed, { maxOutputLength: INFLATED_BYTES_MAX }))
  throw new PermanentError(
    'KAFKA_CODEC_UNKNOWN',
    `A batch at offset ${header.baseOffset} is compressed with ${codecNames[codec] ?? `codec ${codec}`}, which is not supported. ` +
      'Let its producer use gzip, zstd or no compression.',
    { codec },
  )
}

/** Tells which batches are data that a reader of committed records may see. */
class AbortedFilter {
  readonly #waiting: AbortedTransaction[]
  readonly #open = new Set<bigint>()

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#waiting = aborted.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  }

  shows(header: BatchHeader): boolean {
    for (let next = this.#waiting[0]; next !== undefined && next.firstOffset <= header.lastOffset; next = this.#waiting[0]) {
      this.#open.add(next.producerId)
      this.#waiting.shift()
    }
    if ((header.attributes & CONTROL) !== 0) {
      this.#open.delete(header.producerId)
      return false
    }
    return (header.attributes & TRANSACTIONAL) === 0 || !this.#open.has(header.producerId)
  }
}
