import { PermanentError } from '../../foundation/errors.ts'

/** Reads what the Kafka protocol writes, never past the end of its bytes. */
export class ByteReader {
  readonly bytes: Buffer
  #at: number
  readonly #end: number

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.bytes = bytes
    this.#at = start
    this.#end = end
  }

  get at(): number {
    return this.#at
  }

  get left(): number {
    return this.#end - this.#at
  }

  /** Moves forward and returns where it was. @throws PermanentError the bytes end before */
  skip(length: number): number {
    const start = this.#at
    if (length < 0 || length > this.#end - start) throw truncated(length, this.#end - start)
    this.#at = start + length
    return start
  }

  /** Moves forward to there. @throws PermanentError it is behind already, or the bytes end before */
  moveTo(at: number): void {
    this.skip(at - this.#at)
  }

  int8(): number {
    return this.bytes.readInt8(this.skip(1))
  }

  int16(): number {
    return this.bytes.readInt16BE(this.skip(2))
  }

  int32(): number {
    return this.bytes.readInt32BE(this.skip(4))
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.skip(8))
  }

  /** A signed number of up to 32 bits, zigzag in groups of seven bits. */
  varint(): number {
    let result = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.skip(1)] ?? 0
      result |= (byte & 0x7f) << shift
      if (byte < 0x80) return (result >>> 1) ^ -(result & 1)
    }
    throw new PermanentError('KAFKA_BYTES_INVALID', `A number of the Kafka protocol is longer than five bytes, at byte ${this.#at}.`)
  }

  /** A signed number of up to 64 bits. Exact up to 2⁵³, which holds every time delta. */
  varlong(): number {
    let result = 0
    let scale = 1
    for (let group = 0; group < 10; group++) {
      const byte = this.bytes[this.skip(1)] ?? 0
      result += (byte & 0x7f) * scale
      if (byte < 0x80) return result % 2 === 0 ? result / 2 : -(result + 1) / 2
      scale *= 128
    }
    throw new PermanentError('KAFKA_BYTES_INVALID', `A number of the Kafka protocol is longer than ten bytes, at byte ${this.#at}.`)
  }

  /** Bytes behind a varint length; `null` for length −1. They are a view, not a copy. */
  varintBytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.skip(length)
    return this.bytes.subarray(start, start + length)
  }

  /** Moves behind them. */
  passVarintBytes(): void {
    const length = this.varint()
    if (length > 0) this.skip(length)
  }

  /** Text behind a 16-bit length. */
  text(): string {
    const length = this.int16()
    if (length <= 0) return ''
    const start = this.skip(length)
    return this.bytes.toString('utf8', start, start + length)
  }
}

function truncated(wanted: number, left: number): PermanentError {
  return new PermanentError('KAFKA_BYTES_INVALID', `Bytes of the Kafka protocol end early: ${wanted} needed, ${left} left.`)
}
