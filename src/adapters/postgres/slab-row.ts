import { unpackHeaders } from '../../core/broker/header-bytes.ts'
import type { HeaderPair, StoredRecord } from '../../core/broker/log-producer.ts'
import { partAt, storedParts } from '../../core/broker/stored-record.ts'
import { type PendingRow, ROW_OVERHEAD } from '../../core/outbox/outbox-store.ts'
import { type BinaryRow, uuidAt } from './binary-row.ts'
import type { RowMemory, Slab } from './row-memory.ts'

const NOTHING = Buffer.alloc(0)
/** The id, the key, the value and the headers, each behind its length in four bytes. */
const COLUMNS = 4
const ID_AT = 4
export const ID_BYTES = 16
/** What the lengths and the id take. */
const FRAME_BYTES = COLUMNS * 4 + ID_BYTES

/**
 * A row of the outbox whose bytes lie in memory that is used again when it is released.
 *
 * Of everything that a drain makes these alone, ten thousand at a time, live for longer than V8 expects of an object.
 * So they are small, and the rest is read from the bytes when somebody asks; who asks after the release hears so.
 */
export class SlabRow implements PendingRow {
  readonly seq: bigint
  readonly topic: string
  readonly keyHash: number
  readonly timestampMs: number
  readonly size: number
  readonly #rows: RowMemory
  readonly #at: number
  #slab: Slab | undefined

  /** @param row at its first column: seq, topic, key_hash, created_at, id, key, value, headers */
  constructor(row: BinaryRow, topics: Map<string, string>, rows: RowMemory) {
    this.seq = row.int8()
    this.topic = known(topics, row.text())
    this.keyHash = row.int4()
    this.timestampMs = row.timeMs()
    const length = row.lengthOf(COLUMNS)
    const { slab, at } = rows.take(length)
    row.copyTo(slab.bytes, at, length)
    this.#rows = rows
    this.#slab = slab
    this.#at = at
    this.size = length - FRAME_BYTES + ROW_OVERHEAD
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
    if (this.#slab === undefined) throw new Error(`Row ${this.seq} of topic "${this.topic}" was released: its memory holds other rows.`)
    return this.#slab.bytes
  }

  /** Where the length of the key begins, behind the id. */
  get at(): number {
    return this.#at + ID_AT + ID_BYTES
  }

  /** The sixteen bytes of its id. */
  copyId(target: Buffer, start: number): void {
    this.memory.copy(target, start, this.#at + ID_AT, this.at)
  }

  release(): void {
    if (this.#slab === undefined) return
    this.#rows.give(this.#slab, this.#at)
    this.#slab = undefined
  }
}

const TOPICS_MAX = 1_000

/** One text for all rows of a topic. */
function known(topics: Map<string, string>, topic: string): string {
  const found = topics.get(topic)
  if (found !== undefined) return found
  if (topics.size >= TOPICS_MAX) topics.clear()
  topics.set(topic, topic)
  return topic
}
