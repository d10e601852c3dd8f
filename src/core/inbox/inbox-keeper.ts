import type { Clock } from '../../foundation/clock.ts'
import { errorName } from '../../foundation/errors.ts'
import { Loop, type Service } from '../../foundation/service.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { InboxUpkeep } from './inbox-store.ts'

export interface InboxKeeperParts {
  readonly upkeep: InboxUpkeep
  readonly clock: Clock
  readonly diagnostics: BackboneDiagnostics
}

/** Often enough that a day's rows are never far from their place. */
const PAUSE_MS = 60_000

/**
 * Keeps the inbox as long as a message can be sent again, and no longer.
 *
 * Any number may run: they take turns. Where none runs nothing is lost, the inbox only grows.
 */
export class InboxKeeper implements Service {
  readonly #parts: InboxKeeperParts
  readonly #keepMs: number
  readonly #loop: Loop
  #first: Promise<void> | undefined

  /** @param keepMs longer than the topics' retention and the longest outage together */
  constructor(parts: InboxKeeperParts, keepMs: number) {
    this.#parts = parts
    this.#keepMs = keepMs
    this.#loop = new Loop('inbox keeper', (signal) => this.#run(signal))
  }

  /** Resolves when it has looked after the inbox once: what is consumed next goes where it belongs. */
  async start(): Promise<void> {
    this.#first ??= this.#tend()
    await this.#first
    await this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#parts.clock.sleep(PAUSE_MS, signal)
      if (!signal.aborted) await this.#tend()
    }
  }

  /** Never rejects: nothing is lost while the inbox grows. */
  async #tend(): Promise<void> {
    const { upkeep, diagnostics } = this.#parts
    try {
      const tended = await upkeep.tend(this.#keepMs)
      if (tended !== undefined) diagnostics.emit('inbox.tended', tended)
    } catch (error) {
      diagnostics.emit('inbox.untended', { reason: errorName(error) })
    }
  }
}
