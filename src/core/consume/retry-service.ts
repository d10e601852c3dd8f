import { backoffMs } from '../../foundation/backoff.ts'
import { errorName } from '../../foundation/errors.ts'
import { Loop, type Service } from '../../foundation/service.ts'
import { WakeUp } from '../outbox/wake-up.ts'
import { emptyKey, suspicionOf } from './retry-key.ts'
import type { RetryKeySettings, RetryParts } from './retry-parts.ts'
import type { Capabilities, LeasedKey, LeaseTerms } from './retry-store.ts'

export interface RetrySettings<Tx> extends RetryKeySettings<Tx> {
  readonly group: string
  /** Keys at a time. */
  readonly workers: number
  /** Longest pause between two looks. */
  readonly idleDelayMs: number
  /** How long a discarded message can be restored. */
  readonly discardedForMs: number
}

const ERROR_PAUSE_MS_MAX = 5_000
const FORGET_EVERY_MS = 60_000

/**
 * Empties the parked keys of one group: what is due runs again, in the order of its key.
 *
 * Any number may run, in any build: a key is run by whoever holds its lock, and keys whose first message this process
 * cannot handle or read are left to others. A crash loses nothing; the lease of its keys runs out, and one that died
 * of nothing but this message has spent an attempt of it.
 */
export class RetryService<Tx extends object> implements Service {
  readonly #parts: RetryParts<Tx>
  readonly #settings: RetrySettings<Tx>
  readonly #capable: Capabilities
  readonly #running = new Map<LeasedKey, Promise<void>>()
  /** Keys that could not be given back while the database was away; whoever finds their leases later would take them for a crash. */
  readonly #unreturned: { readonly key: LeasedKey; readonly pauseMs: number }[] = []
  #forgetAt = 0
  readonly #wakeUp = new WakeUp()
  readonly #loop: Loop
  #failures = 0
  #ready = false

  constructor(parts: RetryParts<Tx>, settings: RetrySettings<Tx>) {
    this.#parts = parts
    this.#settings = settings
    this.#capable = capabilitiesOf(settings)
    this.#loop = new Loop(`retries ${settings.group}`, (signal) => this.#run(signal))
  }

  get group(): string {
    return this.#settings.group
  }

  /** Whether the last look at the parked keys worked. */
  get ready(): boolean {
    return this.#ready && this.#loop.running
  }

  start(): Promise<void> {
    return this.#loop.start()
  }

  /** Resolves when no handler of a parked message runs any more. */
  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** Looks at once instead of at the end of its pause: a key was parked here that is due now. */
  wake(): void {
    this.#wakeUp.wake()
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#wakeUp.wait(await this.#look(signal), signal)
    await Promise.allSettled(this.#running.values())
  }

  /** Leases what is due and sets workers to it. @returns how long to wait until the next look, if nothing rings before */
  async #look(signal: AbortSignal): Promise<number> {
    const { retries, pause, diagnostics } = this.#parts
    const { group, idleDelayMs, workers } = this.#settings
    try {
      await this.#giveBack()
      const free = pause.isPaused(group) ? 0 : workers - this.#running.size
      const keys = free > 0 ? await retries.lease(this.#capable, this.#terms(free)) : []
      if (keys.length > 0) diagnostics.emit('retry.leased', { group, keys: keys.length })
      for (const key of keys) this.#work(key, signal)
      await this.#forget()
      this.#ready = true
      this.#failures = 0
      if (this.#running.size > 0) return idleDelayMs
      return Math.min(idleDelayMs, (await retries.dueIn(group)) ?? idleDelayMs)
    } catch (error) {
      return this.#interrupted(error)
    }
  }

  #terms(limit: number): LeaseTerms {
    const held = [...this.#running.keys(), ...this.#unreturned.map(({ key }) => key)]
    return { limit, leaseMs: this.#settings.leaseMs, by: this.#parts.processId, tokens: held.map(({ token }) => token) }
  }

  async #giveBack(): Promise<void> {
    for (let [left] = this.#unreturned; left !== undefined; [left] = this.#unreturned) {
      // What a process died of is not forgotten because this one could not charge it.
      await this.#parts.retries.giveBack(left.key, left.pauseMs, suspicionOf(left.key))
      this.#unreturned.shift()
    }
  }

  async #forget(): Promise<void> {
    const { clock, retries } = this.#parts
    if (clock.monotonic() < this.#forgetAt) return
    this.#forgetAt = clock.monotonic() + FORGET_EVERY_MS
    await retries.forgetDiscarded(this.#settings.group, this.#settings.discardedForMs)
  }

  #work(key: LeasedKey, signal: AbortSignal): void {
    const { pause } = this.#parts
    const work = pause
      .count(this.#settings.group, () => emptyKey(this.#parts, this.#settings, key, signal))
      .catch((error: unknown) => {
        // Not at once: what cannot be recorded would otherwise run its handler again without a pause.
        this.#unreturned.push({ key, pauseMs: this.#interrupted(error) })
      })
      .finally(() => {
        this.#running.delete(key)
        this.#wakeUp.wake()
      })
    this.#running.set(key, work)
  }

  #interrupted(error: unknown): number {
    this.#failures++
    this.#ready = false
    this.#parts.diagnostics.emit('retry.interrupted', { group: this.#settings.group, reason: errorName(error) })
    return backoffMs(this.#failures, { minMs: 100, maxMs: ERROR_PAUSE_MS_MAX })
  }
}

function capabilitiesOf<Tx>({ group, subscriptions }: RetrySettings<Tx>): Capabilities {
  const definitions = [...subscriptions.values()].map(({ contract }) => contract.definition)
  const schemas = definitions.flatMap(({ versions }) => versions.map(({ fingerprint }) => fingerprint))
  return { group, names: [...subscriptions.keys()], schemas: [...new Set(schemas)] }
}
