/** What a pass leaves out costs about 1 ms for 5,000 rows. */
const USUAL = 50_000n
const LONGEST = 10_000_000_000n
const SHORTEST = 1_000n

/**
 * How many numbers one read of the outbox looks through: longer steps where it finds nothing, shorter ones where that
 * takes too long. A read walks over every deleted row that is not vacuumed, and nobody knows beforehand how many those are.
 */
export class Stride {
  readonly #limitMs: number
  #length: bigint

  /** @param limitMs after which a read is given up */
  constructor(limitMs: number, begin: 'usual' | 'longest' = 'usual') {
    this.#limitMs = limitMs
    this.#length = begin === 'usual' ? USUAL : LONGEST
  }

  get length(): bigint {
    return this.#length
  }

  /** A read of this length ended. */
  took(ms: number, rows: number): void {
    const most = rows > 0 ? USUAL : LONGEST
    const quick = ms * 4 < this.#limitMs
    if (quick || this.#length > most) this.#length = shorter(quick ? this.#length * 2n : this.#length, most)
  }

  /** It was given up. @param tried how many numbers it was about, where that was less than a step may have */
  tooLong(tried: bigint = this.#length): void {
    const next = shorter(tried, this.#length) / 8n
    this.#length = next > SHORTEST ? next : SHORTEST
  }
}

function shorter(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
