import { PermanentError } from '../../foundation/errors.ts'

/** A call into the runtime costs as much as so many bytes copied one by one. */
const FEW = 32

/**
 * What our own decoders of compression write to: it grows as needed, up to a limit, and takes no copy from where
 * nothing was written.
 */
export class BoundedOutput {
  readonly #bytesMax: number
  #bytes: Buffer
  #length = 0

  constructor(bytesMax: number, expected: number) {
    this.#bytesMax = bytesMax
    this.#bytes = Buffer.allocUnsafe(Math.min(bytesMax, expected))
  }

  /** @throws PermanentError `INFLATED_TOO_LARGE` */
  append(source: Buffer, start: number, end: number): void {
    if (end > source.length) throw corrupt('a literal ends behind its block')
    this.#reserve(end - start)
    const bytes = this.#bytes
    let to = this.#length
    this.#length += end - start
    if (end - start > FEW) source.copy(bytes, to, start, end)
    else for (let from = start; from < end; from++) bytes[to++] = source[from] ?? 0
  }

  /** Repeats what stands `distance` bytes before the end; the copy may reach into itself. */
  repeat(distance: number, length: number): void {
    if (distance <= 0 || distance > this.#length) throw corrupt('a copy points before the start')
    this.#reserve(length)
    const bytes = this.#bytes
    const from = this.#length - distance
    let to = this.#length
    this.#length += length
    if (length <= FEW) {
      for (let at = from; to < this.#length; at++) bytes[to++] = bytes[at] ?? 0
      return
    }
    // What stands there may be shorter than what is asked for: each round copies all that there is by then.
    while (to < this.#length) {
      const end = Math.min(to, from + this.#length - to)
      bytes.copyWithin(to, from, end)
      to += end - from
    }
  }

  result(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    if (needed > this.#bytesMax) {
      throw new PermanentError('INFLATED_TOO_LARGE', `What was compressed has more than ${this.#bytesMax} bytes. Send smaller batches.`)
    }
    const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(needed, this.#bytes.length * 2)))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

export function corrupt(what: string): PermanentError {
  return new PermanentError('COMPRESSION_CORRUPT', `Compressed bytes cannot be read: ${what}. Look at their producer.`)
}
