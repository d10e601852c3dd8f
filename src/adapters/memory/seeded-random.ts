/** Numbers from a seed: the same seed and the same questions, the same answers (mulberry32). */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** @returns whether something of this chance (0 never, 1 always) happens now */
  happens(chance: number): boolean {
    return this.#next() < chance
  }

  /** @returns a whole number from 0 to `max`, both included */
  upTo(max: number): number {
    return Math.floor(this.#next() * (max + 1))
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
