import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import type { HeaderPair } from '../../core/broker/log-producer.ts'
import { ByteReader } from './byte-reader.ts'
import { type HeaderNames, readHeaders } from './record-headers.ts'

/** What it takes beside its bytes: itself and its offset. */
const OWN_BYTES = 100
const NONE: readonly HeaderPair[] = []

/** What the records of one batch share. */
export interface FetchedBatchParts {
  readonly memory: Buffer
  readonly names: HeaderNames
}

/**
 * A record of a batch, whose key, value and headers are read from its bytes when somebody asks for them.
 *
 * Many wait, fetched ahead: a view on some bytes is a hundred bytes of objects, and ten headers are 1,800 for 300. Made
 * only for what is about to be handled, they are gone before V8 takes them for something that stays.
 */
export class FetchedRecord implements ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly #batch: FetchedBatchParts
  readonly #keyAt: number
  readonly #length: number
  #headers: readonly HeaderPair[] | undefined

  /** @param keyAt of the length of its key, behind which its bytes were looked through. @param length as it stands in its batch */
  constructor(batch: FetchedBatchParts, place: Pick<ConsumedRecord, 'offset' | 'timestampMs'>, keyAt: number, length: number) {
    this.offset = place.offset
    this.timestampMs = place.timestampMs
    this.#batch = batch
    this.#keyAt = keyAt
    this.#length = length
    this.#headers = undefined
  }

  /** In memory, as long as nobody asked for its headers. */
  get heldBytes(): number {
    return this.#length + OWN_BYTES
  }

  get key(): Buffer | null {
    return this.#from().varintBytes()
  }

  get value(): Buffer | null {
    const reader = this.#from()
    reader.passVarintBytes()
    return reader.varintBytes()
  }

  get headers(): readonly HeaderPair[] {
    this.#headers ??= this.#readHeaders()
    return this.#headers
  }

  #readHeaders(): readonly HeaderPair[] {
    const reader = this.#from()
    reader.passVarintBytes()
    reader.passVarintBytes()
    return readHeaders(reader, this.#batch.names) ?? NONE
  }

  #from(): ByteReader {
    return new ByteReader(this.#batch.memory, this.#keyAt)
  }
}
