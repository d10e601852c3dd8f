/** Writes what a Kafka broker answers, field by field. */
export class WireWriter {
  #parts: Buffer[] = []

  int8(value: number): this {
    return this.#push(1, (part) => part.writeInt8(value))
  }

  int16(value: number): this {
    return this.#push(2, (part) => part.writeInt16BE(value))
  }

  int32(value: number): this {
    return this.#push(4, (part) => part.writeInt32BE(value))
  }

  int64(value: bigint): this {
    return this.#push(8, (part) => part.writeBigInt64BE(value))
  }

  text(value: string | null): this {
    if (value === null) return this.int16(-1)
    this.int16(Buffer.byteLength(value))
    return this.raw(Buffer.from(value))
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }

  array<T>(items: readonly T[], write: (writer: this, item: T) => unknown): this {
    this.int32(items.length)
    for (const item of items) write(this, item)
    return this
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #push(size: number, write: (part: Buffer) => unknown): this {
    const part = Buffer.alloc(size)
    write(part)
    this.#parts.push(part)
    return this
  }
}
