import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { constants, createZstdCompress, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { numbered } from '../../conformance/log-subject.ts'
import { batchOf, compressedBatch } from '../kafkajs/records.ts'

const program = fileURLToPath(new URL('./bomb-reader.ts', import.meta.url))
const MEBIBYTE = 1024 * 1024
const BLOCK = Buffer.alloc(16 * MEBIBYTE)
/** Of which a gibibyte is made. */
const BLOCKS = 64
/** The most that a batch may inflate to. */
const ALLOWED = 64 * MEBIBYTE
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])

/** One stream that inflates to a gibibyte: a block that ends where the next may begin, again and again. */
async function gzipBomb(): Promise<Buffer> {
  const block = deflateRawSync(BLOCK, { level: 9, finishFlush: constants.Z_FULL_FLUSH })
  return Buffer.concat([GZIP_HEADER, ...Array.from({ length: BLOCKS }, () => block)])
}

async function zstdBomb(): Promise<Buffer> {
  return await buffer(Readable.from(Array.from({ length: BLOCKS }, () => BLOCK)).pipe(createZstdCompress()))
}

const cost = z.object({ ms: z.number(), grownBytes: z.number(), offsets: z.array(z.string()) })

/** Of reading it in a process of its own, which has nothing else to remember. */
async function costOf(batches: Buffer): Promise<z.output<typeof cost>> {
  const reader = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  reader.stdin.end(batches)
  return cost.parse(JSON.parse(await text(reader.stdout)))
}

test.each([
  ['gzip', 1, gzipBomb, gzipSync],
  ['zstd', 4, zstdBomb, zstdCompressSync],
] as const)(
  'a batch of a mebibyte that inflates to a gibibyte (%s) costs no more than one that is as large as allowed',
  async (_, codec, bombOf, compress) => {
    const bomb = compressedBatch(await bombOf(), 3, codec, 2n)
    const large = compressedBatch(compress(Buffer.alloc(ALLOWED - 1)), 1, codec)
    const [before, after] = [batchOf(numbered(2)), batchOf(numbered(1), { baseOffset: 5n })]

    const [bombed, allowed] = [await costOf(Buffer.concat([before, bomb, after])), await costOf(large)]

    expect(bomb.length).toBeLessThan(1.2 * MEBIBYTE)
    expect(bombed.offsets).toEqual(['0', '1', '4 BATCH_TOO_LARGE', '5'])
    // A gibibyte would be sixteen times as much.
    expect(bombed.ms / allowed.ms).toBeLessThan(5)
    expect(bombed.grownBytes).toBeLessThan(4 * ALLOWED)
  },
)
