/** Writes what the Kafka protocol reads, for messages of some hundred bytes: records are written by `record-encoder.ts`. */
export class ByteWriter {
  readonly #parts: Buffer[] = []

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  int8(value: number): this {
    return this.#write(1, (part) => part.writeInt8(value))
  }

  int16(value: number): this {
    return this.#write(2, (part) => part.writeInt16BE(value))
  }

  int32(value: number): this {
    return this.#write(4, (part) => part.writeInt32BE(value))
  }

  int64(value: bigint): this {
    return this.#write(8, (part) => part.writeBigInt64BE(value))
  }

  /** Behind its 16-bit length. */
  text(value: string): this {
    this.int16(Buffer.byteLength(value))
    this.#parts.push(Buffer.from(value))
    return this
  }

  /** Behind their 32-bit length. */
  sized(value: Buffer): this {
    this.int32(value.length)
    this.#parts.push(value)
    return this
  }

  /** Behind their 32-bit count. */
  list<Item>(items: readonly Item[], write: (item: Item) => void): this {
    this.int32(items.length)
    for (const item of items) write(item)
    return this
  }

  #write(length: number, fill: (part: Buffer) => void): this {
    const part = Buffer.allocUnsafe(length)
    fill(part)
    this.#parts.push(part)
    return this
  }
}
