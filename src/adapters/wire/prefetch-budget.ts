/** Of all partitions of one consumer together. */
const PREFETCH_BYTES_MAX = 64 * 1024 * 1024

/**
 * What all partitions of a membership may hold, fetched and not yet taken.
 *
 * When it is spent a partition fetches only when it holds nothing, so that none starves.
 */
export class PrefetchBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax = PREFETCH_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  get isSpent(): boolean {
    return this.#bytes > this.#bytesMax
  }

  add(bytes: number): void {
    this.#bytes += bytes
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes
  }
}
