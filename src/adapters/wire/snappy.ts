import { BoundedOutput, corrupt } from './bounded-output.ts'

/** How Java's producers frame it: a header of 16 bytes, then chunks behind their lengths. */
const JAVA_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const JAVA_HEADER = 16

/**
 * Inflates snappy, bare or in the frame of Java's producers, up to a limit.
 *
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 * @throws PermanentError the bytes are not snappy, or hold more than the limit
 */
export function inflateSnappy(bytes: Buffer, bytesMax: number): Buffer {
  const output = new BoundedOutput(bytesMax, bytes.length * 4)
  if (!bytes.subarray(0, JAVA_MAGIC.length).equals(JAVA_MAGIC)) {
    inflateBlock(bytes, output)
    return output.result()
  }
  for (let at = JAVA_HEADER; at < bytes.length; ) {
    const end = at + 4 + (at + 4 <= bytes.length ? bytes.readUInt32BE(at) : bytes.length)
    if (end > bytes.length) throw corrupt('a chunk of snappy ends early')
    inflateBlock(bytes.subarray(at + 4, end), output)
    at = end
  }
  return output.result()
}

function inflateBlock(block: Buffer, output: BoundedOutput): void {
  let at = lengthOfPreamble(block)
  while (at < block.length) {
    const tag = block[at++] ?? 0
    const kind = tag & 3
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59)
      const length = 1 + (extra === 0 ? tag >> 2 : number(block, at, extra))
      output.append(block, at + extra, at + extra + length)
      at += extra + length
    } else if (kind === 1) {
      output.repeat(((tag >> 5) << 8) | (block[at] ?? 0), ((tag >> 2) & 7) + 4)
      at += 1
    } else {
      const size = kind === 2 ? 2 : 4
      output.repeat(number(block, at, size), (tag >> 2) + 1)
      at += size
    }
  }
}

/** The length of what follows, of which we need only to know where it ends. */
function lengthOfPreamble(block: Buffer): number {
  for (let at = 0; at < 5; at++) if ((block[at] ?? 0) < 0x80) return at + 1
  throw corrupt('the length of a block of snappy has no end')
}

function number(block: Buffer, at: number, size: number): number {
  if (at + size > block.length) throw corrupt('a number of snappy ends early')
  return block.readUIntLE(at, size)
}
