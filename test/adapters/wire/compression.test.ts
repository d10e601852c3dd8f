import { compressionsAlgorithms } from '@platformatic/kafka'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inflateLz4 } from '../../../src/adapters/wire/lz4.ts'
import { inflateSnappy } from '../../../src/adapters/wire/snappy.ts'
import { PermanentError } from '../../../src/foundation/errors.ts'

const LIMIT = 1024 * 1024

const codecs = [
  ['snappy', inflateSnappy, (bytes: Buffer) => compressionsAlgorithms.snappy.compressSync(bytes)],
  ['snappy in the frame of Java', inflateSnappy, framed],
  ['lz4', inflateLz4, (bytes: Buffer) => compressionsAlgorithms.lz4.compressSync(bytes)],
] as const

/** Two chunks, as Java's producers write them. */
function framed(bytes: Buffer): Buffer {
  const middle = bytes.length >> 1
  const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])
  const chunks = [bytes.subarray(0, middle), bytes.subarray(middle)].map((chunk) => compressionsAlgorithms.snappy.compressSync(chunk))
  return Buffer.concat([header, ...chunks.flatMap((chunk) => [sizeOf(chunk), chunk])])
}

function sizeOf(chunk: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(chunk.length)
  return size
}

const texts = fc.array(fc.oneof(fc.constant('abcabcabc'), fc.string(), fc.constant('x'.repeat(300))), { maxLength: 200 })

test.each(codecs)('reads what another implementation of %s has written', (_, inflate, compress) => {
  fc.assert(
    fc.property(texts, fc.uint8Array({ maxLength: 500 }), (parts, noise) => {
      const bytes = Buffer.concat([Buffer.from(parts.join('')), Buffer.from(noise)])
      expect(inflate(compress(bytes), LIMIT).equals(bytes)).toBe(true)
    }),
    { numRuns: 200 },
  )
})

test.each(codecs)('refuses what %s inflates beyond the limit, and takes no more memory than that', (_, inflate, compress) => {
  const bomb = compress(Buffer.alloc(LIMIT + 1))

  expect(() => inflate(bomb, LIMIT)).toThrow(expect.objectContaining({ code: 'INFLATED_TOO_LARGE' }))
  expect(inflate(compress(Buffer.alloc(LIMIT)), LIMIT)).toHaveLength(LIMIT)
})

test.each(codecs)('refuses changed bytes of %s as corrupt, or reads something, and never more than the limit', (_, inflate, compress) => {
  const whole = compress(Buffer.from('the quick brown fox jumps over the lazy dog, the quick brown fox again and again and again'))
  const outcomeOf = (bytes: Buffer): string => {
    try {
      return inflate(bytes, LIMIT).length <= LIMIT ? 'read' : 'too much'
    } catch (error) {
      return error instanceof PermanentError ? 'refused' : String(error)
    }
  }

  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, byte, length) => {
      const changed = Buffer.from(whole)
      changed[at] = byte
      expect(['read', 'refused']).toContain(outcomeOf(changed.subarray(0, length)))
    }),
    { numRuns: 2_000 },
  )
})
