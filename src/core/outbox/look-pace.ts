const OFTEN_MS = 2
/** Where every commit calls, looks in between find nothing: they wait for a lost call. */
const SELDOM_MS = 16
/** After a look that found what nobody had called for. */
const UNCALLED_MS = 1_000
/** So many looks that found nothing, two seconds by default, before they become rarer once more. */
const LOOKS_BEFORE_REST = 25
const REST_TIMES = 4
/** So long nothing may have come uncalled. */
const UNCALLED_LATELY_MS = 600_000

/**
 * How long to wait before the next look, when nobody calls.
 *
 * Looks become rarer while they find nothing. After a call they begin anew: with short pauses where somebody publishes
 * without calling (a transaction that the service commits itself, a process that cannot be heard), else with longer ones.
 *
 * Where calls reach this process and nothing came without one lately, a relay with nothing to do rests: an idle process
 * pays for each look with cold caches, and ten of them a second were a hundredth of a core.
 */
export class LookPace {
  readonly #longestMs: number
  #hears = false
  #idleLooks = 0
  #pauseMs = OFTEN_MS
  #uncalledAtMs = Number.NEGATIVE_INFINITY

  /** @param hearing whether calls of other processes reach this one; it never rejects */
  constructor(longestMs: number, hearing: Promise<boolean>) {
    this.#longestMs = longestMs
    void hearing.then((hears) => {
      this.#hears = hears
    })
  }

  /** @returns the next pause; the one after it is longer */
  next(nowMs: number): number {
    const rests = this.#hears && ++this.#idleLooks > LOOKS_BEFORE_REST && nowMs - this.#uncalledAtMs >= UNCALLED_LATELY_MS
    const pauseMs = Math.min(this.#pauseMs, this.#longestMs)
    this.#pauseMs = pauseMs * 2
    return rests ? this.#longestMs * REST_TIMES : pauseMs
  }

  /** There was something to do, or somebody called. */
  begin(nowMs: number): void {
    this.#idleLooks = 0
    this.#pauseMs = nowMs - this.#uncalledAtMs < UNCALLED_MS ? OFTEN_MS : SELDOM_MS
  }

  /** A look found rows for which nobody had called. */
  foundUncalled(nowMs: number): void {
    this.#uncalledAtMs = nowMs
  }
}
