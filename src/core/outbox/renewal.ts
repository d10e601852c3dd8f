import type { Clock } from '../../foundation/clock.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { OutboxStore, Term } from './outbox-store.ts'
import { unlessAborted } from './unless-aborted.ts'
import { WakeUp } from './wake-up.ts'

/** It leaves so often within one lease … */
const TIMES = 3
/** … or earlier by this part of it, where the owner is awake anyway. */
const EARLIER_SHARE = 0.05

export interface RenewalParts {
  readonly store: Pick<OutboxStore, 'renew'>
  readonly clock: Clock
}

export interface RenewalEvents {
  /** No row up to this number is left. */
  floor(): bigint
  onOver(reason: string): void
}

/** Keeps an owner in office, by a deadline of its own clock: who was not told in time that it still is, is not. */
export class Renewal {
  readonly #parts: RenewalParts
  readonly #term: Term
  readonly #leaseMs: number
  readonly #events: RenewalEvents
  readonly #bell = new WakeUp()
  #nextAtMs = Number.POSITIVE_INFINITY

  constructor(parts: RenewalParts, term: Term, leaseMs: number, events: RenewalEvents) {
    this.#parts = parts
    this.#term = term
    this.#leaseMs = leaseMs
    this.#events = events
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#parts
    const leaseMs = this.#leaseMs
    // Counted from before the request left: the server's lease began later than that.
    let deadline = clock.monotonic() + leaseMs
    while (!signal.aborted) {
      this.#nextAtMs = clock.monotonic() + leaseMs / TIMES
      await this.#bell.wait(leaseMs / TIMES, signal)
      this.#nextAtMs = Number.POSITIVE_INFINITY
      if (signal.aborted) return
      const sentAt = clock.monotonic()
      const renewed = store.renew(this.#term, leaseMs, this.#events.floor())
      const inTime = await unlessAborted(endsWithin(renewed, Math.max(0, deadline - sentAt)), signal)
      if (signal.aborted) return
      if (!inTime) return this.#events.onOver('the lease could not be renewed in time')
      if (!(await renewed)) return this.#events.onOver('another owner took the lease')
      deadline = sentAt + leaseMs
    }
  }

  /** A resting owner looks: what would wake it again soon is done now. */
  looks(): void {
    if (this.#nextAtMs - this.#parts.clock.monotonic() <= this.#leaseMs * EARLIER_SHARE) this.#bell.wake()
  }
}
