/**
 * That rows of a lane, or of a topic, were left in the table, and from which number on they are to be read again.
 *
 * As long as it stands, its owner takes no row, or it would overtake those that were left.
 */
export class Deferral {
  #from: bigint | undefined

  /** The lowest number that may have been left; `undefined` when none was. */
  get from(): bigint | undefined {
    return this.#from
  }

  /** A row with this number, or a higher one, was left in the table. */
  leave(seq: bigint): void {
    if (this.#from === undefined || seq < this.#from) this.#from = seq
  }

  /** They are about to be read: whatever is left from now on counts anew. */
  take(): bigint | undefined {
    const from = this.#from
    this.#from = undefined
    return from
  }
}
