import { unpackHeaders } from '../../core/broker/header-bytes.ts'
import type { HeaderPair, StoredRecord } from '../../core/broker/log-producer.ts'
import { partAt, storedParts } from '../../core/broker/stored-record.ts'
import { type PendingRow, ROW_OVERHEAD } from '../../core/outbox/outbox-store.ts'
import { type BinaryRow, int8At, timeMsAt, uuidAt } from './binary-row.ts'
import type { RowMemory, Slab } from './row-memory.ts'

const NOTHING = Buffer.alloc(0)
// Each column stands behind its length in four bytes. The first four have always the same length.
const SEQ_AT = 4
const KEY_HASH_AT = 16
const TIME_AT = 24
const ID_AT = 36
const KEY_AT = 52
/** seq, key_hash, created_at, id, key, value, headers */
const COLUMNS = 7
const SEQ_BYTES = 8
export const ID_BYTES = 16
/** What is no part of the message: the first four columns, and the lengths of the others. */
const FRAME_BYTES = KEY_AT + 12

/**
 * A row of the outbox whose bytes lie in memory that is used again when it is released.
 *
 * Of everything that a drain makes these alone, ten thousand at a time, live for longer than V8 expects of an object.
 * So they are small, and whatever is not here is read from the bytes when somebody asks; who asks after the release
 * hears so.
 */
export class SlabRow implements PendingRow {
  readonly topic: string
  readonly size: number
  inFlightAt: number | undefined
  readonly #at: number
  #slab: Slab | undefined

  /** @param row at its second column: topic, seq, key_hash, created_at, id, key, value, headers */
  constructor(topic: string, row: BinaryRow, memory: RowMemory) {
    const length = row.lengthOf(COLUMNS)
    const { slab, at } = memory.take(length)
    row.copyTo(slab.bytes, at, length)
    this.topic = topic
    this.size = length - FRAME_BYTES + ROW_OVERHEAD
    this.inFlightAt = undefined
    this.#at = at
    this.#slab = slab
  }

  get seq(): bigint {
    return int8At(this.memory, this.#at + SEQ_AT)
  }

  get keyHash(): number {
    return this.memory.readInt32BE(this.#at + KEY_HASH_AT)
  }

  get timestampMs(): number {
    return timeMsAt(this.memory, this.#at + TIME_AT)
  }

  get id(): string {
    return uuidAt(this.memory, this.#at + ID_AT)
  }

  get key(): Buffer | null {
    return partAt(this.memory, this.at)
  }

  get value(): Buffer | null {
    return partAt(this.memory, storedParts(this).value)
  }

  get headers(): readonly HeaderPair[] {
    return unpackHeaders(partAt(this.memory, storedParts(this).headers) ?? NOTHING)
  }

  get stored(): StoredRecord {
    return this
  }

  /** @throws Error it was released */
  get memory(): Buffer {
    if (this.#slab === undefined) throw new Error(`A row of topic "${this.topic}" was released: its memory holds other rows.`)
    return this.#slab.bytes
  }

  /** Where the length of the key begins. */
  get at(): number {
    return this.#at + KEY_AT
  }

  /** The eight bytes of its number. */
  copySeq(target: Buffer, start: number): void {
    this.memory.copy(target, start, this.#at + SEQ_AT, this.#at + SEQ_AT + SEQ_BYTES)
  }

  /** The sixteen bytes of its id. */
  copyId(target: Buffer, start: number): void {
    this.memory.copy(target, start, this.#at + ID_AT, this.#at + ID_AT + ID_BYTES)
  }

  release(): void {
    this.#slab?.give(this.#at)
    this.#slab = undefined
  }
}
