import { lowest } from './lowest.ts'
import type { PendingRow } from './outbox-store.ts'

/** Rows that were read and are not yet known to be gone. As long as a row is here its bytes are; when it leaves it is released. */
export class InFlight {
  readonly #rows = new Set<PendingRow>()
  #bytes = 0
  #highest = 0n

  get size(): number {
    return this.#rows.size
  }

  get bytes(): number {
    return this.#bytes
  }

  add(row: PendingRow): void {
    this.#rows.add(row)
    this.#bytes += row.size
    if (row.seq > this.#highest) this.#highest = row.seq
  }

  /** They are gone from the table, or were left there, and are released. */
  forget(rows: readonly PendingRow[]): void {
    for (const row of rows) {
      if (!this.#rows.delete(row)) continue
      this.#bytes -= row.size
      row.release()
    }
  }

  get rows(): Iterable<PendingRow> {
    return this.#rows
  }

  /** Their numbers above `mark`: what a pass that begins there must leave out. */
  above(mark: bigint): bigint[] {
    // While a backlog is drained, nothing is.
    if (this.#highest <= mark) return []
    const numbers: bigint[] = []
    for (const { seq } of this.#rows) if (seq > mark) numbers.push(seq)
    return numbers
  }

  get lowest(): bigint | undefined {
    return lowest(this.#numbers())
  }

  *#numbers(): Generator<bigint> {
    for (const { seq } of this.#rows) yield seq
  }
}
