/** Four steps to each doubling: a quantile is told at most a fifth too high. */
const STEPS = 4
const STEPS_MAX = 31 * STEPS

/** What a relay sent since it was last asked: counts, and how long messages took from their insert until Kafka had them. */
export interface Sent {
  readonly messages: number
  readonly batches: number
  /** Milliseconds; `undefined` when nothing was sent. */
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

/** Counts what is acknowledged. It is asked for every message, so it keeps counts by the logarithm of the time, and no times. */
export class RelayTally {
  #counts = new Uint32Array(STEPS_MAX + 1)
  #messages = 0
  #batches = 0

  /** By the clock of the database at the insert and by ours now: they may differ, but nothing takes less than no time. */
  acked(rows: readonly { readonly timestampMs: number }[], nowMs: number): void {
    this.#batches++
    this.#messages += rows.length
    for (const { timestampMs } of rows) {
      const step = stepOf(nowMs - timestampMs)
      this.#counts[step] = (this.#counts[step] ?? 0) + 1
    }
  }

  /** @returns what was sent since the last call */
  take(): Sent {
    const sent = { messages: this.#messages, batches: this.#batches, p50Ms: this.#quantile(0.5), p99Ms: this.#quantile(0.99) }
    this.#counts = new Uint32Array(STEPS_MAX + 1)
    this.#messages = 0
    this.#batches = 0
    return sent
  }

  #quantile(share: number): number | undefined {
    if (this.#messages === 0) return undefined
    let [step, seen] = [0, 0]
    for (seen = this.#counts[0] ?? 0; seen < this.#messages * share && step < STEPS_MAX; seen += this.#counts[step] ?? 0) step++
    return Math.round(2 ** (step / STEPS))
  }
}

function stepOf(ms: number): number {
  if (ms <= 1) return 0
  return Math.min(STEPS_MAX, Math.ceil(Math.log2(ms) * STEPS))
}
