/**
 * Lets work of this process run side by side, or one piece of it all alone.
 *
 * A message that may have ended a process runs alone: if the process ends again, it is known which message was to blame.
 */
export class Solitude {
  #running = 0
  /** Whoever wants to be alone, and has not ended. */
  #alone = 0
  #turn: Promise<unknown> = Promise.resolve()
  #emptied = Promise.withResolvers<void>()
  #opened = Promise.withResolvers<void>()

  /** Runs beside others, as soon as nobody is alone or waits to be. */
  async together<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#alone > 0) await this.#opened.promise
    this.#running++
    try {
      return await work()
    } finally {
      this.#running--
      if (this.#running === 0) {
        this.#emptied.resolve()
        this.#emptied = Promise.withResolvers()
      }
    }
  }

  /** Runs when what runs has ended; nothing else begins before it has ended too. Never inside of `together`. */
  alone<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#alone++
    const ended = this.#turn.then(async () => {
      while (this.#running > 0) await this.#emptied.promise
      return await work()
    })
    const left = (): void => {
      this.#alone--
      if (this.#alone > 0) return
      this.#opened.resolve()
      this.#opened = Promise.withResolvers()
    }
    this.#turn = ended.then(left, left)
    return ended
  }
}
