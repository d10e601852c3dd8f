import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import { FetchedRecord } from './fetched-record.ts'

/** Of batches that were fetched apart, so many are handed over together; one that is larger goes alone. */
const TOGETHER_RECORDS_MAX = 5_000
const TOGETHER_BYTES_MAX = 1.5 * 1024 * 1024
/** What a record that was kept whole, and each of its headers, takes beside its bytes: objects for views on them. */
const RECORD_OVERHEAD = 300
const HEADER_OVERHEAD = 150

interface Fetched {
  readonly records: readonly ConsumedRecord[]
  readonly bytes: number
}

/**
 * What was fetched of one partition and nobody has taken, in offset order.
 *
 * What waits is taken together. A log that is written record by record is fetched record by record; handed over like
 * that, a listener that has fallen behind would never find the large batch that lets it catch up.
 */
export class FetchedRecords {
  #batches: Fetched[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  get bytes(): number {
    return this.#bytes
  }

  /** @returns how many bytes they take */
  add(records: readonly ConsumedRecord[]): number {
    const bytes = byteLengthOf(records)
    if (records.length === 0) return 0
    this.#batches.push({ records, bytes })
    this.#bytes += bytes
    return bytes
  }

  /** @returns the next records, and how many bytes are free again; none when nothing waits */
  take(): Fetched {
    const [first] = this.#batches
    if (first === undefined) return { records: [], bytes: 0 }
    let { bytes } = first
    let count = first.records.length
    let batches = 1
    for (const next of this.#batches.slice(1)) {
      if (count + next.records.length > TOGETHER_RECORDS_MAX || bytes + next.bytes > TOGETHER_BYTES_MAX) break
      count += next.records.length
      bytes += next.bytes
      batches++
    }
    const taken = this.#batches.splice(0, batches)
    this.#bytes -= bytes
    return { records: batches === 1 ? first.records : taken.flatMap(({ records }) => records), bytes }
  }

  /** @returns how many bytes are free again */
  clear(): number {
    const freed = this.#bytes
    this.#batches = []
    this.#bytes = 0
    return freed
  }
}

function byteLengthOf(records: readonly ConsumedRecord[]): number {
  let bytes = 0
  for (const record of records) bytes += record instanceof FetchedRecord ? record.heldBytes : byteLengthOfWhole(record)
  return bytes
}

function byteLengthOfWhole({ key, value, headers }: ConsumedRecord): number {
  let bytes = RECORD_OVERHEAD + (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, header] of headers) bytes += HEADER_OVERHEAD + name.length + header.length
  return bytes
}
