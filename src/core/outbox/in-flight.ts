import { lowest } from './lowest.ts'
import type { PendingRow } from './outbox-store.ts'

/**
 * Rows that were read and are not yet known to be gone. As long as a row is here its bytes are; when it leaves it is released.
 *
 * Each row knows its place, and the last one moves to where another left: a set would make 63 bytes of garbage a message.
 */
export class InFlight {
  readonly #rows: PendingRow[] = []
  #bytes = 0
  #highest = 0n

  get size(): number {
    return this.#rows.length
  }

  get bytes(): number {
    return this.#bytes
  }

  add(row: PendingRow): void {
    row.inFlightAt = this.#rows.push(row) - 1
    this.#bytes += row.size
    const { seq } = row
    if (seq > this.#highest) this.#highest = seq
  }

  /** They are gone from the table, or were left there, and are released. */
  forget(rows: readonly PendingRow[]): void {
    for (const row of rows) {
      const at = row.inFlightAt
      if (at === undefined || this.#rows[at] !== row) continue
      this.#fill(at)
      row.inFlightAt = undefined
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

  #fill(at: number): void {
    const last = this.#rows.pop()
    if (last === undefined || at === this.#rows.length) return
    this.#rows[at] = last
    last.inFlightAt = at
  }

  *#numbers(): Generator<bigint> {
    for (const { seq } of this.#rows) yield seq
  }
}
