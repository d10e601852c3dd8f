import { TransientError } from '../../foundation/errors.ts'

/**
 * The time that a handler has, and the signal that aborts when it is over or when `outer` does. The signal is made when it
 * is asked for: most handlers never look, and two signals in one cost more than everything else here.
 */
export class TimeLimit {
  readonly #timeoutMs: number
  readonly #outer: AbortSignal
  #expired: AbortController | undefined
  #either: AbortSignal | undefined
  #late: TransientError | undefined

  constructor(timeoutMs: number, outer: AbortSignal) {
    this.#timeoutMs = timeoutMs
    this.#outer = outer
  }

  get signal(): AbortSignal {
    if (this.#either !== undefined) return this.#either
    this.#expired = new AbortController()
    if (this.#late !== undefined) this.#expired.abort(this.#late)
    this.#either = AbortSignal.any([this.#outer, this.#expired.signal])
    return this.#either
  }

  /**
   * Runs `work`.
   *
   * @param onEnd called once, when the work has ended: after a time-out that may be long after
   * @returns what the work returned
   * @throws TransientError `HANDLER_TIMEOUT`; the work may still be running, so its transaction must be destroyed
   */
  limit<Result>(work: () => Promise<Result>, onEnd: () => void): Promise<Result> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.#expire()), this.#timeoutMs)
      const end = (): void => {
        clearTimeout(timer)
        onEnd()
      }
      begin(work).then(
        (result) => {
          end()
          resolve(result)
        },
        (error: unknown) => {
          end()
          reject(error)
        },
      )
    })
  }

  #expire(): TransientError {
    this.#late = timedOut(this.#timeoutMs)
    this.#expired?.abort(this.#late)
    return this.#late
  }
}

/** A handler without `async` may throw at once, or return what is no promise. */
function begin<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return Promise.resolve(work())
  } catch (error) {
    return Promise.reject(error)
  }
}

function timedOut(timeoutMs: number): TransientError {
  return new TransientError(
    'HANDLER_TIMEOUT',
    `The handler did not settle within ${timeoutMs} ms; its transaction was rolled back. Raise the subscription's timeout, or use delivery.signal to stop early.`,
    { timeoutMs },
  )
}
