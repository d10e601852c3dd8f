import { HEADER_BYTES_MAX, HEADERS_MAX } from '../../core/broker/header-bytes.ts'
import type { HeaderPair } from '../../core/broker/log-producer.ts'
import type { ByteReader } from './byte-reader.ts'

const EMPTY = Buffer.alloc(0)

/**
 * Removes from kafkajs: headers are folded into an object with a spread per header. One record of 39 KB with 5,000 headers
 * freezes the process for seconds and so, rebalance by rebalance, the whole group; names such as `__proto__` and the
 * order across names are lost.
 *
 * Ours are pairs, read in one walk that ends at the first header beyond the limits. What is returned then is itself
 * beyond the limits, so that the reader of the record sees that it is not one of ours.
 */
export function readHeaders(reader: ByteReader): HeaderPair[] {
  const count = reader.varint()
  const headers: HeaderPair[] = []
  let bytes = 0
  for (let index = 0; index < count && index <= HEADERS_MAX && bytes <= HEADER_BYTES_MAX; index++) {
    const name = reader.varintBytes() ?? EMPTY
    const value = reader.varintBytes() ?? EMPTY
    bytes += name.length + value.length
    headers.push([name.toString(), value])
  }
  return headers
}
