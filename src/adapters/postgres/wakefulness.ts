import { performance } from 'node:perf_hooks'

/** Twice what it takes a core to fall asleep and to be woken: a near server that is busy beside others answers within it too. */
const AWAKE_MS_MAX = 0.2
/** So many answers in a row that came later: then the server is far away, or busy. */
const LATE_MAX = 10
/** Statements until it is tried again: what it costs to find a far server far is a hundredth of a millisecond for each. */
const REST = 200

/**
 * Keeps the event loop turning for the fifth of a millisecond within which the answer of a near server comes.
 *
 * Handlers of a batch run one after another, so each waits for its statements, and in between this process has nothing to
 * do. On a virtual machine falling asleep and being woken takes longer than the statement: in order, 170 µs a statement
 * asleep and 90 awake, with the same use of the processor (bench/consume.ts). Where answers take longer it stays asleep.
 */
export class Wakefulness {
  #waiting = 0
  #until = 0
  #turning = false
  #late = 0
  #rest = 0

  /** A statement was sent, and somebody waits for it. Followed by `answered`. */
  sent(): void {
    this.#waiting++
    if (this.#rest > 0) {
      this.#rest--
      return
    }
    this.#until = performance.now() + AWAKE_MS_MAX
    if (this.#turning) return
    this.#turning = true
    setImmediate(this.#turn)
  }

  answered(): void {
    this.#waiting--
  }

  readonly #turn = (): void => {
    const isLate = this.#waiting > 0 && performance.now() > this.#until
    if (this.#waiting > 0 && !isLate) {
      setImmediate(this.#turn)
      return
    }
    this.#turning = false
    this.#late = isLate ? this.#late + 1 : 0
    if (this.#late < LATE_MAX) return
    this.#late = 0
    this.#rest = REST
  }
}
