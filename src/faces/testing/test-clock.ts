import type { Clock } from '../../foundation/clock.ts'

interface Sleeper {
  readonly until: number
  wake(): void
}

/** Time at its own pace, and as far ahead as a test has moved it: whoever sleeps past that point wakes at once. */
export class TestClock implements Clock {
  readonly #sleepers = new Set<Sleeper>()
  #aheadMs = 0

  /** How far it is ahead of the machine's clock. */
  get aheadMs(): number {
    return this.#aheadMs
  }

  now(): number {
    return Date.now() + this.#aheadMs
  }

  monotonic(): number {
    return performance.now() + this.#aheadMs
  }

  advance(ms: number): void {
    this.#aheadMs += ms
    const now = this.monotonic()
    for (const sleeper of this.#sleepers) if (sleeper.until <= now) sleeper.wake()
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#sleepers.delete(sleeper)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      const sleeper = { until: this.monotonic() + ms, wake }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', wake)
    })
  }
}
