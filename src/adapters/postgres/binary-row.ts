/** Microseconds from the epoch to the first of January 2000, where PostgreSQL begins to count. */
const TIMES_BEGIN_MS = 946_684_800_000

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
    return this.#bytes.readBigInt64BE(this.#at - 8)
  }

  /** A time, in milliseconds since the epoch. */
  timeMs(): number {
    this.#at += 12
    const micros = this.#bytes.readInt32BE(this.#at - 8) * 2 ** 32 + this.#bytes.readUInt32BE(this.#at - 4)
    return TIMES_BEGIN_MS + Math.floor(micros / 1_000)
  }

  uuid(): string {
    this.#at += 20
    const hex = this.#bytes.toString('hex', this.#at - 16, this.#at)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  text(): string {
    const length = this.#length()
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }

  /** The next `count` columns as bytes, copied in one piece: what they were read from is used again. */
  bytes(count: number): (Buffer | null)[] {
    const from = this.#at
    const places: [number, number][] = []
    for (let column = 0; column < count; column++) {
      const length = this.#length()
      places.push([this.#at - from, length])
      if (length > 0) this.#at += length
    }
    const own = Buffer.allocUnsafe(this.#at - from)
    this.#bytes.copy(own, 0, from, this.#at)
    return places.map(([start, length]) => (length < 0 ? null : own.subarray(start, start + length)))
  }

  #length(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }
}
