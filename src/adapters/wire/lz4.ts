import { BoundedOutput, corrupt } from './bounded-output.ts'

const MAGIC = 0x184d2204
const STORED = 0x80000000
const MORE = 15
const MATCH_MIN = 4

/**
 * Inflates an LZ4 frame, up to a limit. Its checksums are not looked at: the batch has one of its own.
 *
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 * @throws PermanentError the bytes are no such frame, or hold more than the limit
 */
export function inflateLz4(bytes: Buffer, bytesMax: number): Buffer {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== MAGIC) throw corrupt('they do not begin like an LZ4 frame')
  const flags = bytes[4] ?? 0
  const blockChecksum = (flags & 0x10) === 0 ? 0 : 4
  let at = 7 + ((flags & 0x08) === 0 ? 0 : 8) + ((flags & 0x01) === 0 ? 0 : 4)
  const output = new BoundedOutput(bytesMax, bytes.length * 4)
  for (;;) {
    if (at + 4 > bytes.length) throw corrupt('an LZ4 frame ends early')
    const size = bytes.readUInt32LE(at)
    if (size === 0) return output.result()
    const length = size & ~STORED
    const end = at + 4 + length
    if (end > bytes.length) throw corrupt('a block of LZ4 ends early')
    if (size >= STORED) output.append(bytes, at + 4, end)
    else inflateBlock(bytes.subarray(at + 4, end), output)
    at = end + blockChecksum
  }
}

function inflateBlock(block: Buffer, output: BoundedOutput): void {
  const cursor = new Cursor(block)
  while (cursor.at < block.length) {
    const token = cursor.byte()
    const literal = cursor.length(token >> 4)
    output.append(block, cursor.at, cursor.at + literal)
    cursor.at += literal
    if (cursor.at >= block.length) return // the last sequence has no match
    const distance = cursor.byte() | (cursor.byte() << 8)
    output.repeat(distance, cursor.length(token & MORE) + MATCH_MIN)
  }
}

class Cursor {
  readonly #block: Buffer
  at = 0

  constructor(block: Buffer) {
    this.#block = block
  }

  byte(): number {
    const byte = this.#block[this.at++]
    if (byte === undefined) throw corrupt('a block of LZ4 ends early')
    return byte
  }

  /** Four bits, and as many bytes more as are full. */
  length(bits: number): number {
    let length = bits
    if (bits < MORE) return length
    for (let byte = 255; byte === 255; length += byte) byte = this.byte()
    return length
  }
}
