const OFTEN_MS = 2
/** Where every commit calls, looks in between find nothing: they wait for a lost call. */
const SELDOM_MS = 16
/** After a look that found what nobody called for. */
const UNCALLED_MS = 1_000
/** A look may find a row before the call for it comes: so long it may take, with a new connection of the caller's. */
const CALL_WITHIN_MS = 1_000
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
  #rests = false
  #uncalledAtMs = Number.NEGATIVE_INFINITY
  /** When the first and the last look found rows for which no call has come yet. */
  #awaited: { readonly sinceMs: number; readonly lastMs: number } | undefined

  /** @param hearing whether calls of other processes reach this one; it never rejects */
  constructor(longestMs: number, hearing: Promise<boolean>) {
    this.#longestMs = longestMs
    void hearing.then((hears) => {
      this.#hears = hears
    })
  }

  /** Whether the pause before this look was a rest. */
  get rests(): boolean {
    return this.#rests
  }

  /** @returns the next pause; the one after it is longer */
  next(nowMs: number): number {
    const uncalledAtMs = this.#awaited?.lastMs ?? this.#uncalledAtMs
    this.#rests = this.#hears && ++this.#idleLooks > LOOKS_BEFORE_REST && nowMs - uncalledAtMs >= UNCALLED_LATELY_MS
    const pauseMs = Math.min(this.#pauseMs, this.#longestMs)
    this.#pauseMs = pauseMs * 2
    return this.#rests ? this.#longestMs * REST_TIMES : pauseMs
  }

  /** There was something to do, or somebody called. */
  begin(nowMs: number): void {
    this.#giveUpAwaited(nowMs)
    this.#idleLooks = 0
    this.#rests = false
    this.#pauseMs = nowMs - this.#uncalledAtMs < UNCALLED_MS ? OFTEN_MS : SELDOM_MS
  }

  /** A look found rows for which nobody has called; the call may still come. */
  foundUncalled(nowMs: number): void {
    this.#awaited = { sinceMs: this.#awaited?.sinceMs ?? nowMs, lastMs: nowMs }
  }

  /** Somebody who published called. */
  called(nowMs: number): void {
    this.#giveUpAwaited(nowMs)
    this.#awaited = undefined
  }

  #giveUpAwaited(nowMs: number): void {
    if (this.#awaited !== undefined && nowMs - this.#awaited.sinceMs >= CALL_WITHIN_MS) this.#uncalledAtMs = this.#awaited.lastMs
  }
}
