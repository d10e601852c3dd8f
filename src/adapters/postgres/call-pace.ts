const APART_MS = 5
/** Each call costs a tenth of a millisecond of the processor, whoever listens: 200 a second are 2 % of what two cores can do. */
const APART_BUSY_MS = 10
/** So many commits since the call before are a relay's batch anyway: calls further apart make it larger. */
const BUSY_COMMITS = 16
const TRY_AGAIN_MS = 1_000

/** When the relay may be called again: a call is for all commits before it. */
export class CallPace {
  #commits = 0
  #apartMs = APART_MS
  #notBeforeMs = Number.NEGATIVE_INFINITY

  committed(): void {
    this.#commits++
  }

  calling(): void {
    this.#apartMs = this.#commits >= BUSY_COMMITS ? APART_BUSY_MS : APART_MS
    this.#commits = 0
  }

  /** @param answered whether the server took the call */
  called(nowMs: number, answered: boolean): void {
    this.#notBeforeMs = nowMs + (answered ? this.#apartMs : TRY_AGAIN_MS)
  }

  /** @returns how long the next call has to wait; 0 when it may be made at once */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#notBeforeMs - nowMs)
  }
}
