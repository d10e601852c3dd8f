import type { Clock } from '../../foundation/clock.ts'
import { messageOf, TransientError } from '../../foundation/errors.ts'

/** The coordinator forgets a member that it has not heard for so long. */
export const SESSION_TIMEOUT_MS = 10_000
/** Three times what a rebalance may take: kafkajs has never been silent for so long and come back. */
const SILENT_MS_MAX = 90_000
/** kafkajs says that it crashed a moment after it has let go of its group, or never. */
const CRASH_WITHIN_MS = 5_000
const CHECK_MS = 1_000

/**
 * Knows whether a membership is alive, and ends one that is dead without a word from kafkajs.
 *
 * kafkajs reports a crash only after it has disconnected. When that hangs or fails, nobody would read any more and
 * nobody would hear of it.
 */
export class MembershipWatch {
  readonly #clock: Clock
  readonly #onDead: (error: TransientError) => void
  #timer: NodeJS.Timeout | undefined
  #activeAt: number
  #heardAt: number | undefined
  #isRebalancing = false
  #lost: { readonly at: number; readonly reason: string } | undefined

  constructor(clock: Clock, onDead: (error: TransientError) => void) {
    this.#clock = clock
    this.#onDead = onDead
    this.#activeAt = clock.monotonic()
  }

  /** Whether the coordinator counts us as a member, as far as we can know. */
  get isMember(): boolean {
    if (this.#heardAt === undefined || this.#lost !== undefined) return false
    return this.#isRebalancing || this.#clock.monotonic() - this.#heardAt < SESSION_TIMEOUT_MS
  }

  start(): void {
    this.#timer ??= setInterval(() => this.check(), CHECK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#heardAt = undefined
  }

  /** kafkajs does something: it fetches. */
  active(): void {
    this.#activeAt = this.#clock.monotonic()
  }

  /** The coordinator answered a heartbeat, or gave an assignment. */
  heard(): void {
    this.active()
    this.#heardAt = this.#activeAt
    this.#isRebalancing = false
  }

  /** No heartbeat is due until the next assignment. */
  rebalancing(): void {
    this.active()
    this.#isRebalancing = true
  }

  /** kafkajs has no group any more to act on. */
  groupLost(error: unknown): void {
    this.#lost ??= { at: this.#clock.monotonic(), reason: messageOf(error) }
  }

  check(): void {
    const now = this.#clock.monotonic()
    if (this.#lost !== undefined && now - this.#lost.at > CRASH_WITHIN_MS)
      this.#end(`kafkajs let go of the group and did not say why (${this.#lost.reason})`)
    else if (now - this.#activeAt > SILENT_MS_MAX) this.#end(`kafkajs has not fetched for ${SILENT_MS_MAX / 1_000} s`)
  }

  #end(what: string): void {
    this.stop()
    this.#onDead(new TransientError('MEMBERSHIP_SILENT', `The membership is given up: ${what}. A new one is begun.`))
  }
}
