import type { PassResult } from './outbox-store.ts'

/** When an undecided transaction no longer holds up the mark. */
const PATIENCE_MS = 250
const PAIRS_MAX = 64
const PAIRS_APART_MS = 4

/** A number that was the last one taken, and a transaction that began afterwards. */
interface Pair {
  readonly number: bigint
  readonly transactionId: bigint
  readonly notedAtMs: number
}

/**
 * Up to which number everything is decided and was read, so that passes begin above it.
 *
 * Whoever took a number up to S had its transaction id before (the table's first default), so before the transaction N
 * that began after S was read. Once a snapshot knows every transaction below N to be over, every number up to S is
 * decided in it: the mark moves to S, or to the last row read where that is lower.
 *
 * One open transaction would hold it up. So after a while the mark moves all the same, under an assumption: that the
 * transactions below N which still run go on running. As long as a pass's own snapshot shows all of them running, it
 * can show no row of theirs, and there is nothing below the mark to be missed. The first pass that shows one of them
 * ended is thrown away, and reading begins again at the hard mark.
 */
export class SettledMark {
  #hard = 0n
  /** Every number up to here is decided; it may not be read yet. */
  #decided = 0n
  #soft: { readonly at: bigint; readonly running: readonly bigint[] } | undefined
  #pairs: Pair[] = []
  #asked: Pair | undefined

  /** Where the next pass begins. */
  get at(): bigint {
    return this.#soft?.at ?? this.#hard
  }

  /** The part of it that assumes nothing. */
  get hard(): bigint {
    return this.#hard
  }

  /** Whose end would make the mark void. */
  get assumedRunning(): readonly bigint[] {
    return this.#soft?.running ?? []
  }

  /** The highest number that is decided, or will be by a transaction that was noted. */
  get noted(): bigint {
    return this.#pairs.at(-1)?.number ?? this.#decided
  }

  /** Notes that `transactionId` began after `lastNumber` was read. */
  note(lastNumber: bigint, transactionId: bigint, nowMs: number): void {
    const last = this.#pairs.at(-1)
    if (lastNumber <= this.noted) return
    if (last !== undefined && nowMs - last.notedAtMs < PAIRS_APART_MS) return
    this.#pairs.push({ number: lastNumber, transactionId, notedAtMs: nowMs })
    if (this.#pairs.length > PAIRS_MAX) this.#pairs.splice(1, 1)
  }

  /** For the next pass: below which number it should name the running transactions. */
  namesRunningBelow(nowMs: number): bigint | undefined {
    this.#asked = this.#pairs.findLast(({ notedAtMs }) => nowMs - notedAtMs >= PATIENCE_MS)
    return this.#asked?.transactionId
  }

  /** @returns `false`: the pass assumed what no longer holds; throw it away and read again from the hard mark */
  accepts(result: PassResult): boolean {
    if (result.assumptionHolds) return true
    this.#soft = undefined
    return false
  }

  /**
   * Moves on by what an accepted pass saw that began at the mark.
   *
   * @param after where it began
   * @param readTo every row up to this number that the pass may show was shown
   */
  move(result: PassResult, after: bigint, readTo: bigint): void {
    // The mark was reset meanwhile.
    if (after > this.at) return
    this.#settle(result.oldestRunning)
    this.#hard = later(this.#hard, earlier(this.#decided, readTo))
    const asked = this.#asked
    if (asked !== undefined && asked.transactionId > result.oldestRunning) {
      const at = earlier(asked.number, readTo)
      if (at > this.at) this.#soft = { at, running: result.running }
    }
    if (this.#soft !== undefined && this.#soft.at <= this.#hard) this.#soft = undefined
  }

  /** Reading begins again at the lowest row. */
  reset(): void {
    this.#hard = 0n
    this.#soft = undefined
  }

  #settle(oldestRunning: bigint): void {
    const settled = this.#pairs.findLastIndex(({ transactionId }) => transactionId <= oldestRunning)
    if (settled < 0) return
    this.#decided = later(this.#decided, this.#pairs[settled]?.number ?? 0n)
    this.#pairs = this.#pairs.slice(settled + 1)
  }
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
