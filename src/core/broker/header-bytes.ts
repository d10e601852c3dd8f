import { PermanentError } from '../../foundation/errors.ts'
import type { HeaderPair } from './log-producer.ts'

/** Kafka knows no limit; a record beyond these is not ours. */
export const HEADERS_MAX = 100
export const HEADER_BYTES_MAX = 16 * 1024

/** Whether there are too many, or too many bytes of them. */
export function exceedHeaderLimits(headers: readonly HeaderPair[]): boolean {
  let bytes = 0
  for (const [name, value] of headers) bytes += Buffer.byteLength(name) + value.length
  return headers.length > HEADERS_MAX || bytes > HEADER_BYTES_MAX
}

/** The two lengths of a pair. */
const LENGTHS_BYTES = 8

/**
 * Header pairs as one run of bytes, for storage: pairs as `u32 length, name, u32 length, value`, in order.
 *
 * Kafka allows a name twice and keeps the order, so a JSON object would lose both. A name has no limit there either,
 * and a record that is kept as it came can have any.
 */
export function packHeaders(headers: readonly HeaderPair[]): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of headers) {
    const nameBytes = Buffer.from(name)
    const lengths = Buffer.allocUnsafe(LENGTHS_BYTES)
    lengths.writeUInt32BE(nameBytes.length, 0)
    lengths.writeUInt32BE(value.length, 4)
    parts.push(lengths, nameBytes, value)
  }
  return Buffer.concat(parts)
}

/** @throws PermanentError `HEADERS_CORRUPT`: the stored bytes were not written by {@link packHeaders} */
export function unpackHeaders(bytes: Buffer): HeaderPair[] {
  const headers: HeaderPair[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + LENGTHS_BYTES > bytes.length) throw corrupt(bytes.length)
    const nameEnd = at + LENGTHS_BYTES + bytes.readUInt32BE(at)
    const valueEnd = nameEnd + bytes.readUInt32BE(at + 4)
    if (valueEnd > bytes.length) throw corrupt(bytes.length)
    headers.push([bytes.toString('utf8', at + LENGTHS_BYTES, nameEnd), bytes.subarray(nameEnd, valueEnd)])
    at = valueEnd
  }
  return headers
}

/** @returns how many pairs there are. @throws PermanentError `HEADERS_CORRUPT`, as {@link unpackHeaders} */
export function countPacked(bytes: Buffer, start = 0, end: number = bytes.length): number {
  let count = 0
  for (let at = start; at < end; count++) {
    if (at + LENGTHS_BYTES > end) throw corrupt(end - start)
    at += LENGTHS_BYTES + bytes.readUInt32BE(at) + bytes.readUInt32BE(at + 4)
    if (at > end) throw corrupt(end - start)
  }
  return count
}

function corrupt(length: number): PermanentError {
  return new PermanentError(
    'HEADERS_CORRUPT',
    `Stored headers (${length} bytes) cannot be read: a length points past the end. Restore the row from a backup, or discard it.`,
  )
}
