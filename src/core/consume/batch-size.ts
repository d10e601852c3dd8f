export interface BatchLimits {
  readonly sizeMax: number
  /** How long a batch should take. */
  readonly latencyMs: number
}

const FIRST_SIZE = 32

/**
 * How many messages the next batch of a partition takes: as many as fit into the time it should last.
 *
 * One that had to be halved says that the next may have to be, too: a smaller one has less to run again.
 */
export class BatchSize {
  readonly #limits: BatchLimits
  #size: number

  constructor(limits: BatchLimits) {
    this.#limits = limits
    this.#size = Math.min(FIRST_SIZE, limits.sizeMax)
  }

  get next(): number {
    return this.#size
  }

  /** Learns from a batch, or its beginning, that was settled. */
  settled(messages: number, tookMs: number, { reruns, halved }: { readonly reruns: number; readonly halved: boolean }): void {
    if (halved) this.#size = Math.max(1, messages)
    // What ran several times says nothing about how long once takes.
    if (reruns > 0 || messages === 0) return
    const fits = Math.max(1, Math.floor((messages * this.#limits.latencyMs) / Math.max(tookMs, 0.1)))
    // A batch that was not full says nothing about a larger one, unless it was slow.
    if (messages < this.#size && fits >= this.#size) return
    this.#size = Math.min(fits, this.#size * 2, this.#limits.sizeMax)
  }
}
