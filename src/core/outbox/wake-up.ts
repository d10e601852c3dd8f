/** A doorbell: whoever waits is woken, and a ring while nobody waits is kept for the next one. */
export class WakeUp {
  #rung = false
  #waiting: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined

  /** Whether it rang since somebody waited last. */
  get hasRung(): boolean {
    return this.#rung
  }

  wake(): void {
    this.#rung = true
    this.#waiting?.()
  }

  /** Whoever waits now waits from now on: its time begins anew. */
  putOff(): void {
    this.#timer?.refresh()
  }

  /** Resolves at the next ring, after `ms`, or when the signal aborts. @returns whether it rang */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#rung && !signal.aborted) await this.#ringOrPause(ms, signal)
    const rung = this.#rung
    this.#rung = false
    return rung
  }

  #ringOrPause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(this.#timer)
        this.#timer = undefined
        signal.removeEventListener('abort', done)
        this.#waiting = undefined
        resolve()
      }
      this.#timer = setTimeout(done, ms)
      signal.addEventListener('abort', done)
      this.#waiting = done
    })
  }
}
