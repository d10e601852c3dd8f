import { HEADER_BYTES_MAX, HEADERS_MAX } from '../../core/broker/header-bytes.ts'
import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import type { HeaderPair } from '../../core/broker/log-producer.ts'
import type { ByteReader } from './byte-reader.ts'

const EMPTY = Buffer.alloc(0)
const NONE: readonly HeaderPair[] = []

/**
 * Removes from kafkajs: headers are folded into an object with a spread per header. One record of 39 KB with 5,000 headers
 * freezes the process for seconds and so, rebalance by rebalance, the whole group; names such as `__proto__` and the
 * order across names are lost.
 *
 * Ours are pairs, looked through in one walk that ends at the first header beyond the limits, and read when somebody asks.
 *
 * @returns `undefined`: there are more than the limits allow, and the rest of them was not read
 */
export function readHeaders(reader: ByteReader, names: HeaderNames = new HeaderNames()): readonly HeaderPair[] | undefined {
  const count = reader.varint()
  if (count <= 0) return NONE
  if (count > HEADERS_MAX) return undefined
  const headers: HeaderPair[] = []
  let bytes = 0
  for (let index = 0; index < count; index++) {
    const nameLength = Math.max(0, reader.varint())
    const name = names.read(reader.bytes, reader.skip(nameLength), nameLength, index)
    const value = reader.varintBytes() ?? EMPTY
    bytes += nameLength + value.length
    if (bytes > HEADER_BYTES_MAX) return undefined
    headers.push([name, value])
  }
  return headers
}

/**
 * Looks through what {@link readHeaders} will read, and makes nothing of it.
 *
 * @returns `false`: there are more than the limits allow, and the rest of them was not looked at
 */
export function passHeaders(reader: ByteReader): boolean {
  const count = reader.varint()
  if (count > HEADERS_MAX) return false
  let bytes = 0
  for (let part = 0; part < 2 * count; part++) {
    const length = Math.max(0, reader.varint())
    reader.skip(length)
    bytes += length
    if (bytes > HEADER_BYTES_MAX && part % 2 === 1) return false
  }
  return true
}

/**
 * A record with more headers than the limits allow: kept whole and in nobody's way.
 *
 * @param raw the record as it stands in its batch, from its length on
 */
export function headerFlood({ offset, timestampMs }: Pick<ConsumedRecord, 'offset' | 'timestampMs'>, raw: Buffer): ConsumedRecord {
  const reason =
    `The record at offset ${offset} (${raw.length} bytes) has more than ${HEADERS_MAX} headers or ${HEADER_BYTES_MAX} bytes of them. ` +
    'Its producer must carry that in the value.'
  return { offset, key: null, value: raw, headers: NONE, timestampMs, unreadable: { code: 'HEADERS_TOO_LARGE', reason } }
}

interface KnownName {
  readonly bytes: Buffer
  readonly text: string
}

/** The names of headers. One record's are most often those of the record before, so each is decoded once. */
export class HeaderNames {
  readonly #known: KnownName[] = []

  read(bytes: Buffer, start: number, length: number, index: number): string {
    const known = this.#known[index]
    if (known !== undefined && isAt(bytes, start, length, known.bytes)) return known.text
    const own = bytes.subarray(start, start + length)
    const text = own.toString()
    this.#known[index] = { bytes: own, text }
    return text
  }
}

function isAt(bytes: Buffer, start: number, length: number, name: Buffer): boolean {
  if (name.length !== length) return false
  for (let index = 0; index < length; index++) if (bytes[start + index] !== name[index]) return false
  return true
}
