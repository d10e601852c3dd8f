import { HEADER_BYTES_MAX, HEADERS_MAX } from '../../core/broker/header-bytes.ts'
import type { HeaderPair } from '../../core/broker/log-producer.ts'
import type { ByteReader } from './byte-reader.ts'

const EMPTY = Buffer.alloc(0)
const NONE: readonly HeaderPair[] = []

/**
 * Removes from kafkajs: headers are folded into an object with a spread per header. One record of 39 KB with 5,000 headers
 * freezes the process for seconds and so, rebalance by rebalance, the whole group; names such as `__proto__` and the
 * order across names are lost.
 *
 * Ours are pairs, read in one walk that ends at the first header beyond the limits. What is returned then is itself
 * beyond the limits, so that the reader of the record sees that it is not one of ours.
 */
export function readHeaders(reader: ByteReader, names: HeaderNames = new HeaderNames()): readonly HeaderPair[] {
  const count = reader.varint()
  if (count <= 0) return NONE
  const headers: HeaderPair[] = []
  let bytes = 0
  for (let index = 0; index < count && index <= HEADERS_MAX && bytes <= HEADER_BYTES_MAX; index++) {
    const nameLength = Math.max(0, reader.varint())
    const name = names.read(reader.bytes, reader.skip(nameLength), nameLength, index)
    const value = reader.varintBytes() ?? EMPTY
    bytes += nameLength + value.length
    headers.push([name, value])
  }
  return headers
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
