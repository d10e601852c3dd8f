import { setTimeout as delay } from 'node:timers/promises'

/** Where time comes from in the process. SQL takes its own from `trunkline.now()`. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Monotonic milliseconds, for deadlines that a changed wall clock must not move. */
  monotonic(): number
  /** Resolves after `ms`, or at once when the signal aborts; it never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    if (signal?.aborted) return
    await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
  },
}
