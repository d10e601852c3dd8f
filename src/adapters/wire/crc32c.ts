const POLYNOMIAL = 0x82f63b78
const STEP = 8
let table: Int32Array | undefined

/**
 * CRC-32C (Castagnoli), which Kafka puts on each batch; `node:zlib` has only CRC-32.
 *
 * Eight bytes a step, where kafkajs takes one.
 */
export function crc32c(data: Uint8Array, start = 0, end: number = data.length): number {
  table ??= buildTable()
  const t = table
  let crc = -1
  let at = start
  for (const last = end - STEP; at <= last; at += STEP) {
    const low = crc ^ (byte(data, at) | (byte(data, at + 1) << 8) | (byte(data, at + 2) << 16) | (byte(data, at + 3) << 24))
    crc =
      entry(t, 7, low & 0xff) ^
      entry(t, 6, (low >>> 8) & 0xff) ^
      entry(t, 5, (low >>> 16) & 0xff) ^
      entry(t, 4, low >>> 24) ^
      entry(t, 3, byte(data, at + 4)) ^
      entry(t, 2, byte(data, at + 5)) ^
      entry(t, 1, byte(data, at + 6)) ^
      entry(t, 0, byte(data, at + 7))
  }
  for (; at < end; at++) crc = entry(t, 0, (crc ^ byte(data, at)) & 0xff) ^ (crc >>> 8)
  return (crc ^ -1) >>> 0
}

function byte(data: Uint8Array, index: number): number {
  return data[index] ?? 0
}

/** What a byte contributes when `distance` more bytes follow in the step. */
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
