import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import type { HeaderPair } from '../../core/broker/log-producer.ts'
import { ByteReader } from './byte-reader.ts'
import { type HeaderNames, readHeaders } from './record-headers.ts'

/** What it takes beside its bytes: itself, its offset and two views. */
const OWN_BYTES = 350
const NONE: readonly HeaderPair[] = []

export interface FetchedRecordParts extends Pick<ConsumedRecord, 'offset' | 'timestampMs' | 'key' | 'value'> {
  readonly memory: Buffer
  /** Of the count of its headers, which were looked through. */
  readonly headersAt: number
  readonly names: HeaderNames
  /** As it stands in its batch. */
  readonly length: number
}

/**
 * A record of a batch, whose headers are read when somebody asks for them.
 *
 * Many wait, fetched ahead; ten headers are 1,800 bytes of objects for 300 bytes, and made only for what is about to be
 * handled they are gone before V8 takes them for something that stays.
 */
export class FetchedRecord implements ConsumedRecord {
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestampMs: number
  /** In memory, as long as nobody asked for its headers. */
  readonly heldBytes: number
  readonly #memory: Buffer
  readonly #headersAt: number
  readonly #names: HeaderNames
  #headers: readonly HeaderPair[] | undefined

  constructor({ offset, key, value, timestampMs, memory, headersAt, names, length }: FetchedRecordParts) {
    this.offset = offset
    this.key = key
    this.value = value
    this.timestampMs = timestampMs
    this.heldBytes = length + OWN_BYTES
    this.#memory = memory
    this.#headersAt = headersAt
    this.#names = names
  }

  get headers(): readonly HeaderPair[] {
    this.#headers ??= readHeaders(new ByteReader(this.#memory, this.#headersAt), this.#names) ?? NONE
    return this.#headers
  }
}
