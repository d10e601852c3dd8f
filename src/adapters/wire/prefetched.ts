import type { ConsumedRecord } from '../../core/broker/log-consumer.ts'
import type { TrunklineError } from '../../foundation/errors.ts'
import { FetchedRecords } from './fetched-records.ts'
import type { PrefetchBudget } from './prefetch-budget.ts'
import { PrefetchLimit } from './prefetch-limit.ts'

export interface PrefetchedParts {
  readonly budget: PrefetchBudget
  /** Hears that no more should be fetched. */
  readonly onFull: () => void
  /** Hears that there is room again. */
  readonly onRoom: () => void
}

/**
 * What one partition has fetched ahead of its reader: so a slow partition never stops its neighbours, and a fast one has
 * the next batch at hand. Fetching stops above a limit, and goes on below half of it.
 */
export class Prefetched {
  readonly #parts: PrefetchedParts
  readonly #waiting = new FetchedRecords()
  readonly #limit = new PrefetchLimit()
  #isFull = false
  #lost: TrunklineError | undefined
  #wake: (() => void) | undefined

  constructor(parts: PrefetchedParts) {
    this.#parts = parts
  }

  get isFull(): boolean {
    return this.#isFull
  }

  add(records: readonly ConsumedRecord[]): void {
    if (records.length === 0) return
    const { budget, onFull } = this.#parts
    budget.add(this.#waiting.add(records))
    if (!this.#isFull && (this.#waiting.bytes > this.#limit.bytes || budget.isSpent)) {
      this.#isFull = true
      this.#limit.stopped()
      onFull()
    }
    this.#wake?.()
  }

  /** Nothing more will come. What is here is handed over first, then the reader hears why. */
  lose(reason: TrunklineError): void {
    this.#lost = reason
    this.#wake?.()
  }

  /** Waits for the next records; rejects when the signal aborts or the place was lost. */
  async take(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    if (this.#waiting.isEmpty) this.#limit.ranDry()
    while (this.#waiting.isEmpty) {
      if (this.#lost !== undefined) throw this.#lost
      await this.#changed(signal)
      signal.throwIfAborted()
    }
    const { records, bytes } = this.#waiting.take()
    this.#release(bytes)
    return records
  }

  /** Drops everything, also why there would be no more. */
  clear(): void {
    this.#parts.budget.giveBack(this.#waiting.clear())
    this.#isFull = false
    this.#lost = undefined
  }

  #release(bytes: number): void {
    const { budget, onRoom } = this.#parts
    budget.giveBack(bytes)
    const hasRoom = this.#waiting.isEmpty || (this.#waiting.bytes < this.#limit.bytes / 2 && !budget.isSpent)
    if (!this.#isFull || !hasRoom) return
    this.#isFull = false
    onRoom()
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        this.#wake = undefined
        resolve()
      }
      this.#wake = wake
      signal.addEventListener('abort', wake)
      if (signal.aborted) wake()
    })
  }
}
