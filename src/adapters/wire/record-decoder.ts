import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import { isTrunklineError, messageOf, PermanentError } from '../../foundation/errors.ts'
import { ByteReader } from './byte-reader.ts'
import { crc32c } from './crc32c.ts'
import { FetchedRecord } from './fetched-record.ts'
import { inflateLz4 } from './lz4.ts'
import { HeaderNames, headerFlood, passHeaders } from './record-headers.ts'
import { inflateSnappy } from './snappy.ts'

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

/** Where the batches came from. */
export interface BatchPlace {
  /** Offsets at or above it are not in the log. */
  readonly end: bigint
  /** Hears of a batch with a wrong checksum. Reading ends before it: what stands behind must not overtake it. */
  readonly onDamaged: (baseOffset: bigint) => void
}

type Decoded = ConsumedRecord | Placeholder

/** How many times its own size a batch may keep alive. */
const KEPT_ALIVE_MAX = 16
/** Base offset and length. */
const FRAME = 12
const BATCH_OVERHEAD = 61
const CRC_AT = 17
const CRC_FROM = 21
const MAGIC = 2
const CODEC_MASK = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
/** A fetched batch is at most a few megabytes; what inflates beyond this is an attack on our memory. */
const INFLATED_BYTES_MAX = 64 * 1024 * 1024
/** Empty records compress to almost nothing: 2,000,000 in 2.8 MB of gzip took a second of the event loop and 225 MB. */
const BATCH_RECORDS_MAX = 250_000
/** Records of a reply after which others have their turn on the event loop; about 20 ms. */
const RECORDS_AT_ONCE = 50_000
/** Our own decoders run on the event loop: 16 MiB take some 80 ms. */
const INFLATED_AT_ONCE_MAX = 16 * 1024 * 1024
const ANYWHERE: BatchPlace = { end: 2n ** 63n - 1n, onDamaged: () => undefined }

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
 * A batch that cannot be read becomes one record, marked unreadable, with the batch as its value: its neighbours, and
 * the other partitions of the reply, are read as if it were not there. A wrong checksum is something else: another
 * fetch, or another replica, may have the batch whole, so nothing behind it is read.
 *
 * Removes from kafkajs: a call stack overflow at about 120,000 records (`push(...batch)`), unbounded inflation, aborted
 * records shown after a record whose key is four zero bytes, one fetch per offset through what compaction left empty,
 * and one bad batch that stops the whole group for ever.
 */
export async function decodeRecords(
  bytes: Buffer,
  aborted: readonly AbortedTransaction[],
  place: BatchPlace = ANYWHERE,
): Promise<readonly Decoded[]> {
  const records: Decoded[] = []
  const filter = new AbortedFilter(aborted)
  const reader = new ByteReader(bytes)
  let atLastTurn = 0
  while (reader.left >= FRAME) {
    if (records.length - atLastTurn > RECORDS_AT_ONCE) {
      atLastTurn = records.length
      await setImmediate()
    }
    const start = reader.at
    const baseOffset = reader.int64()
    const length = reader.int32()
    if (length > reader.left) break // a fetch may end in the middle of a batch
    reader.skip(length)
    if (!(await appendBatch(records, ownBytes(bytes.subarray(start, reader.at)), filter, place))) {
      place.onDamaged(baseOffset)
      break
    }
  }
  return records
}

/** A small record that somebody keeps must not keep a reply of megabytes alive; a copy of everything would cost a sixth of all time. */
function ownBytes(batch: Buffer): Buffer {
  return batch.length * KEPT_ALIVE_MAX < batch.buffer.byteLength ? Buffer.from(batch) : batch
}

/** Appends all of its records or none. @returns false when its checksum is wrong */
async function appendBatch(records: Decoded[], batch: Buffer, filter: AbortedFilter, place: BatchPlace): Promise<boolean> {
  const before = records.length
  try {
    const header = readHeader(new ByteReader(batch))
    if (crc32c(batch, CRC_FROM) !== batch.readUInt32BE(CRC_AT)) return false
    if (header.count > BATCH_RECORDS_MAX) throw tooManyRecords(header)
    if (filter.shows(header)) {
      const isPlain = (header.attributes & CODEC_MASK) === 0
      const body = new ByteReader(batch, BATCH_OVERHEAD)
      appendRecords(records, isPlain ? body : await inflated(body, header), header)
    }
    // The last offset of the batch may have been compacted away; the position still has to pass it.
    const last = records.length === before ? undefined : records.at(-1)
    if (last === undefined || last.offset < header.lastOffset) records.push({ offset: header.lastOffset, isControlRecord: true })
    return true
  } catch (error) {
    records.length = before
    records.push(unreadable(batch, place, error))
    return true
  }
}

/** Stands at the last offset of the batch, so that whoever has settled it goes on behind the batch. */
function unreadable(batch: Buffer, { end }: BatchPlace, error: unknown): ConsumedRecord {
  const baseOffset = batch.readBigInt64BE(0)
  if (baseOffset < 0n || baseOffset >= end) throw error // not even its place can be believed
  const isWhole = batch.length >= BATCH_OVERHEAD && batch.readInt8(16) === MAGIC
  const lastOffset = isWhole ? baseOffset + BigInt(batch.readInt32BE(23)) : baseOffset
  const maxTimestamp = isWhole ? Number(batch.readBigInt64BE(35)) : 0
  return {
    // A damaged header could send the position beyond the log's end: then the batch is passed over offset by offset.
    offset: lastOffset >= baseOffset && lastOffset < end ? lastOffset : baseOffset,
    key: null,
    value: batch,
    headers: [],
    timestampMs: Number.isSafeInteger(maxTimestamp) ? maxTimestamp : 0,
    unreadable: { code: isTrunklineError(error) ? error.code : 'BATCH_UNREADABLE', reason: reasonOf(batch, baseOffset, error) },
  }
}

function reasonOf(batch: Buffer, baseOffset: bigint, error: unknown): string {
  if (isTrunklineError(error)) return error.message
  return `The batch from offset ${baseOffset} (${batch.length} bytes) cannot be decoded: ${messageOf(error).replace(/\.+$/, '')}.`
}

function readHeader(reader: ByteReader): BatchHeader {
  const baseOffset = reader.int64()
  reader.skip(8) // length, leader epoch
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

function appendRecords(records: Decoded[], reader: ByteReader, header: BatchHeader): void {
  const appendTime = (header.attributes & LOG_APPEND_TIME) !== 0
  const batch = { memory: reader.bytes, names: new HeaderNames() }
  for (let index = 0; index < header.count; index++) {
    const start = reader.at
    const length = reader.varint()
    const end = reader.at + length
    if (length < 0 || length > reader.left) reader.skip(length)
    reader.skip(1) // attributes, none so far
    const timeDelta = reader.varlong()
    const timestampMs = appendTime ? header.maxTimestamp : header.baseTimestamp + timeDelta
    const offset = header.baseOffset + BigInt(reader.varint())
    const keyAt = reader.at
    reader.passVarintBytes()
    reader.passVarintBytes()
    const withinLimits = passHeaders(reader)
    reader.moveTo(end)
    if (withinLimits) records.push(new FetchedRecord(batch, { offset, timestampMs }, keyAt, length))
    else records.push(headerFlood({ offset, timestampMs }, reader.bytes.subarray(start, end)))
  }
}

function tooManyRecords({ baseOffset, lastOffset, count }: BatchHeader): PermanentError {
  return new PermanentError(
    'BATCH_TOO_LARGE',
    `The batch of offsets ${baseOffset} to ${lastOffset} holds ${count} records, more than ${BATCH_RECORDS_MAX}. Let its producer send smaller batches.`,
    { count },
  )
}

async function inflated(body: ByteReader, header: BatchHeader): Promise<ByteReader> {
  const codec = header.attributes & CODEC_MASK
  const compressed = body.bytes.subarray(body.at, body.at + body.left)
  try {
    if (codec === 1) return new ByteReader(await inflateGzip(compressed, { maxOutputLength: INFLATED_BYTES_MAX }))
    if (codec === 2) return new ByteReader(inflateSnappy(compressed, INFLATED_AT_ONCE_MAX))
    if (codec === 3) return new ByteReader(inflateLz4(compressed, INFLATED_AT_ONCE_MAX))
    if (codec === 4) return new ByteReader(await inflateZstd(compressed, { maxOutputLength: INFLATED_BYTES_MAX }))
  } catch (error) {
    throw notInflated(header, codec, error)
  }
  throw new PermanentError(
    'KAFKA_CODEC_UNKNOWN',
    `The batch of offsets ${header.baseOffset} to ${header.lastOffset} is compressed with ${nameOfCodec(codec)}, which is not supported. ` +
      'Let its producer use gzip, snappy, lz4, zstd or no compression, and send these messages again.',
    { codec },
  )
}

function notInflated({ baseOffset, lastOffset }: BatchHeader, codec: number, cause: unknown): PermanentError {
  const batch = `The batch of offsets ${baseOffset} to ${lastOffset}, compressed with ${nameOfCodec(codec)},`
  if (cause instanceof Error && 'code' in cause && (cause.code === 'ERR_BUFFER_TOO_LARGE' || cause.code === 'INFLATED_TOO_LARGE')) {
    const limit = `${(cause.code === 'INFLATED_TOO_LARGE' ? INFLATED_AT_ONCE_MAX : INFLATED_BYTES_MAX) / 1024 / 1024} MiB`
    return new PermanentError(
      'BATCH_TOO_LARGE',
      `${batch} inflates beyond ${limit}. Let its producer send smaller batches.`,
      { codec },
      cause,
    )
  }
  return new PermanentError('BATCH_UNREADABLE', `${batch} cannot be inflated: ${messageOf(cause)}. Look at its producer.`, { codec }, cause)
}

function nameOfCodec(codec: number): string {
  return codecNames[codec] ?? `codec ${codec}`
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
