import type { KnownTexts } from './known-texts.ts'

/** Microseconds from the epoch to the first of January 2000, where PostgreSQL begins to count. */
const TIMES_BEGIN_MS = 946_684_800_000
/** Upper halves of numbers below 2⁵³. */
const HIGH_MAX = 2 ** 21

/** The columns of one row in the binary format, read one after the other. */
export class BinaryRow {
  readonly #bytes: Buffer
  #at: number

  /** @param at of the count of columns */
  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at + 2
  }

  int4(): number {
    this.#at += 8
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  int8(): bigint {
    this.#at += 12
    return int8At(this.#bytes, this.#at - 8)
  }

  /** A time, in milliseconds since the epoch. */
  timeMs(): number {
    this.#at += 12
    return timeMsAt(this.#bytes, this.#at - 8)
  }

  uuid(): string {
    this.#at += 20
    return uuidAt(this.#bytes, this.#at - 16)
  }

  text(): string {
    const length = this.#length()
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }

  /** As `text`, without making one where it is known. */
  knownText(known: KnownTexts): string {
    const length = this.#length()
    this.#at += length
    return known.read(this.#bytes, this.#at - length, this.#at)
  }

  /** How many bytes the next `count` columns are, each behind its length. */
  lengthOf(count: number): number {
    let at = this.#at
    for (let column = 0; column < count; column++) at += 4 + Math.max(0, this.#bytes.readInt32BE(at))
    return at - this.#at
  }

  /** Copies them as they are: what they are read from is used again. */
  copyTo(target: Buffer, start: number, length: number): void {
    this.#bytes.copy(target, start, this.#at, this.#at + length)
    this.#at += length
  }

  #length(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }
}

export function int8At(bytes: Buffer, at: number): bigint {
  const high = bytes.readInt32BE(at)
  // One object instead of five, as long as a number holds it.
  if (high < HIGH_MAX && high >= 0) return BigInt(high * 2 ** 32 + bytes.readUInt32BE(at + 4))
  return bytes.readBigInt64BE(at)
}

/** A time, in milliseconds since the epoch. */
export function timeMsAt(bytes: Buffer, at: number): number {
  const micros = bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
  return TIMES_BEGIN_MS + Math.floor(micros / 1_000)
}

export function uuidAt(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
