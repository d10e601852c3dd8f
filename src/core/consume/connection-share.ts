/**
 * Lets so many effect transactions of this process run at a time, and no more: the others of its pool are for whoever
 * publishes. Whoever waits is served in turn by owner, so that a partition with many lanes does not starve one with few.
 */
export class ConnectionShare {
  #free: number
  readonly #waiting = new Map<string, (() => void)[]>()

  /** @param max at a time, at least 1 */
  constructor(max: number) {
    this.#free = Math.max(1, max)
  }

  /** Runs `work` when it is the owner's turn. @throws whatever `work` throws */
  async use<Result>(owner: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--
    else await this.#turnOf(owner)
    try {
      return await work()
    } finally {
      this.#passOn()
    }
  }

  #turnOf(owner: string): Promise<void> {
    return new Promise((resolve) => {
      const queue = this.#waiting.get(owner)
      if (queue === undefined) this.#waiting.set(owner, [resolve])
      else queue.push(resolve)
    })
  }

  /** The owner whose turn it is goes to the end of the line with what it still waits for. */
  #passOn(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free++
      return
    }
    const [owner, queue] = next
    const resolve = queue.shift()
    this.#waiting.delete(owner)
    if (queue.length > 0) this.#waiting.set(owner, queue)
    resolve?.()
  }
}
