const OFTEN_MS = 2
/** Where every commit calls, looks in between find nothing: they wait for a lost call. */
const SELDOM_MS = 16
/** After a look that found what nobody had called for. */
const UNCALLED_MS = 1_000

/**
 * How long to wait before the next look, when nobody calls.
 *
 * Looks become rarer while they find nothing. After a call they begin anew: with short pauses where somebody publishes
 * without calling (a transaction that the service commits itself, a process that cannot be heard), else with longer ones.
 */
export class LookPace {
  readonly #longestMs: number
  #pauseMs = OFTEN_MS
  #uncalledUntilMs = Number.NEGATIVE_INFINITY

  constructor(longestMs: number) {
    this.#longestMs = longestMs
  }

  /** @returns the next pause; the one after it is longer */
  next(): number {
    const pauseMs = Math.min(this.#pauseMs, this.#longestMs)
    this.#pauseMs = pauseMs * 2
    return pauseMs
  }

  /** There was something to do, or somebody called. */
  begin(nowMs: number): void {
    this.#pauseMs = nowMs < this.#uncalledUntilMs ? OFTEN_MS : SELDOM_MS
  }

  /** A look found rows for which nobody had called. */
  foundUncalled(nowMs: number): void {
    this.#uncalledUntilMs = nowMs + UNCALLED_MS
  }
}
