/**
 * Which groups a person has paused, and what still runs of them.
 *
 * A paused group keeps its membership and its partitions; what had begun ends, and nothing begins until it is resumed.
 */
export class Pause {
  readonly #wanted = new Set<string>()
  readonly #running = new Map<string, number>()
  readonly #waiting = new Set<() => void>()

  /** What a person wants now, of this process's groups. */
  set(groups: readonly string[]): void {
    this.#wanted.clear()
    for (const group of groups) this.#wanted.add(group)
    for (const wake of this.#waiting) wake()
  }

  isPaused(group: string): boolean {
    return this.#wanted.has(group)
  }

  /** The paused groups of which nothing runs any more. */
  get effective(): readonly string[] {
    return [...this.#wanted].filter((group) => (this.#running.get(group) ?? 0) === 0)
  }

  /**
   * Runs the work of a group once the group is not paused.
   *
   * @returns `undefined` when the signal aborted first; the work did not run
   */
  async run<Result>(group: string, signal: AbortSignal, work: () => Promise<Result>): Promise<Result | undefined> {
    while (this.#wanted.has(group) && !signal.aborted) await this.#changed(signal)
    return signal.aborted ? undefined : await this.count(group, work)
  }

  /** Runs work that had begun before the pause, as far as anybody can tell: it counts as running until it ends. */
  async count<Result>(group: string, work: () => Promise<Result>): Promise<Result> {
    this.#running.set(group, (this.#running.get(group) ?? 0) + 1)
    try {
      return await work()
    } finally {
      this.#running.set(group, (this.#running.get(group) ?? 1) - 1)
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
}
