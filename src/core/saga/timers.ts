import { z } from 'zod'
import { backoffMs } from '../../foundation/backoff.ts'
import { duration } from '../../foundation/duration.ts'
import { errorName } from '../../foundation/errors.ts'
import { Loop, type Service } from '../../foundation/service.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Incident, TransactionalIncidentLog } from '../incident.ts'
import { WakeUp } from '../outbox/wake-up.ts'
import { POSTPONE_MS, type PostponedSaga, type SagaCoordinator } from './coordinator.ts'
import type { SagaStore } from './saga-store.ts'

export const sagaTimerOptions = z.strictObject({
  /** Timers per transaction, 1–1 000. Default 100. */
  batchSize: z.int().min(1).max(1_000).default(100),
  /** Longest pause between two looks when nothing is due, at least '10ms'. Default '500ms'. Bounds how late a timer fires. */
  idleDelay: duration({ min: '10ms', max: '1m' }).prefault('500ms'),
})
export type SagaTimerOptions = z.input<typeof sagaTimerOptions>
export type SagaTimerSettings = z.output<typeof sagaTimerOptions>

export interface SagaTimersParts<Tx> {
  readonly store: SagaStore<Tx>
  /** Opens a transaction whose publications leave with its commit: the backbone's own publisher fits. */
  readonly publisher: { transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> }
  readonly coordinators: readonly SagaCoordinator<Tx>[]
  readonly incidents: TransactionalIncidentLog<Tx>
  readonly diagnostics: BackboneDiagnostics
}

/** Instances that cannot go on; with more of them the later ones are told of by diagnostics only. */
const TOLD_MAX = 10_000
const PAUSE_MS_MIN = 10
const ERROR_PAUSE_MS_MAX = 5_000

/**
 * Fires the timers of the sagas that this process can run; timers of others are left alone.
 *
 * Any number may run: an instance that somebody else holds is left out and looked at again later. A crash loses
 * nothing, because a timer moves in the transaction that applies it.
 */
export class SagaTimers<Tx> implements Service {
  readonly #parts: SagaTimersParts<Tx>
  readonly #settings: SagaTimerSettings
  readonly #byName: ReadonlyMap<string, SagaCoordinator<Tx>>
  readonly #told = new Set<string>()
  readonly #wakeUp = new WakeUp()
  readonly #loop: Loop
  #ready = false

  constructor(parts: SagaTimersParts<Tx>, settings: SagaTimerSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#byName = new Map(parts.coordinators.map((coordinator) => [coordinator.name, coordinator]))
    this.#loop = new Loop('saga timers', (signal) => this.#run(signal))
  }

  /** Whether the last look at the timers worked. */
  get ready(): boolean {
    return this.#ready && this.#loop.running
  }

  start(): Promise<void> {
    return this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** Looks at once instead of at the end of its pause. */
  wake(): void {
    this.#wakeUp.wake()
  }

  /**
   * Applies one batch of due timers.
   *
   * @returns how many rows were claimed; 0 when nothing is due
   * @throws TransientError the database is unreachable; nothing was changed
   */
  async fireDue(): Promise<number> {
    const runnable = this.#parts.coordinators.flatMap((coordinator) => coordinator.runnable)
    const { publisher, store, incidents } = this.#parts
    const { tx, claimed, told } = await publisher.transaction(async (tx) => {
      const claimed = await store.claimDue(tx, runnable, this.#settings.batchSize)
      const postponed: PostponedSaga[] = []
      for (const [name, coordinator] of this.#byName) {
        const own = claimed.filter(({ saga }) => saga.saga === name)
        postponed.push(...(await coordinator.applyTimers(tx, own)))
      }
      const told = this.#untold(postponed)
      for (const saga of told) await incidents.recordIn(tx, timerFailed(saga))
      return { tx, claimed: claimed.length, told }
    })
    incidents.announce(tx)
    for (const { id } of told) this.#told.add(id)
    return claimed
  }

  /** An instance that cannot go on fails again with every round of its timer; people hear of it once. */
  #untold(postponed: readonly PostponedSaga[]): readonly PostponedSaga[] {
    return postponed.filter(({ id }) => !this.#told.has(id)).slice(0, TOLD_MAX - this.#told.size)
  }

  async #run(signal: AbortSignal): Promise<void> {
    if (this.#parts.coordinators.length === 0) return
    let idle = 0
    let failures = 0
    while (!signal.aborted) {
      try {
        const claimed = await this.fireDue()
        if (claimed > 0) this.#parts.diagnostics.emit('saga.timers', { due: claimed })
        idle = claimed > 0 ? 0 : idle + 1
        failures = 0
        this.#ready = true
      } catch (error) {
        failures += 1
        this.#ready = false
        this.#parts.diagnostics.emit('saga.timers_interrupted', { reason: errorName(error) })
      }
      if (idle > 0 || failures > 0) await this.#wakeUp.wait(this.#pauseMs(idle, failures), signal)
    }
  }

  /** Short after work, because work comes in bursts; longer the longer nothing was due. */
  #pauseMs(idle: number, failures: number): number {
    if (failures > 0) return backoffMs(failures, { minMs: 100, maxMs: ERROR_PAUSE_MS_MAX })
    return backoffMs(idle, { minMs: PAUSE_MS_MIN, maxMs: this.#settings.idleDelay, jitter: 0 })
  }
}

function timerFailed({ saga, id, reason }: PostponedSaga): Incident {
  return {
    kind: 'saga_timer_failed',
    subject: `${saga} ${id}`,
    message: `The timer of saga "${saga}" ${id} cannot be applied (${reason}): its definition threw, or is not here as it was when the instance started. The instance is as it was, and its timer fires again every ${POSTPONE_MS / 1_000} s. Mend the definition.`,
    details: { saga, id, reason },
  }
}
