import { countPacked } from './header-bytes.ts'
import type { StoredRecord } from './log-producer.ts'

/** The length before each part. */
const LENGTH_BYTES = 4

/** Where the parts of a stored record begin, each at its length. */
export function storedParts({ memory, at }: StoredRecord): { readonly key: number; readonly value: number; readonly headers: number } {
  const value = behindPart(memory, at)
  return { key: at, value, headers: behindPart(memory, value) }
}

/** @returns the part whose length begins there, as a view; `null` when there is none */
export function partAt(memory: Buffer, at: number): Buffer | null {
  const length = memory.readInt32BE(at)
  return length < 0 ? null : memory.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length)
}

export function behindPart(memory: Buffer, at: number): number {
  return at + LENGTH_BYTES + Math.max(0, memory.readInt32BE(at))
}

/** @throws PermanentError `HEADERS_CORRUPT` */
export function checkStoredHeaders(record: StoredRecord): void {
  const { headers } = storedParts(record)
  countPacked(record.memory, headers + LENGTH_BYTES, behindPart(record.memory, headers))
}
