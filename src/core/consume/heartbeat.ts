import type { Clock } from '../../foundation/clock.ts'
import { messageOf } from '../../foundation/errors.ts'
import { Loop, type Service } from '../../foundation/service.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Pause } from './pause.ts'
import type { ProcessRow, ProcessStore } from './process-store.ts'

export interface HeartbeatParts {
  readonly processes: ProcessStore
  readonly pause: Pause
  readonly clock: Clock
  readonly diagnostics: BackboneDiagnostics
}

/** Beats in the time after which a silent process counts as dead; also how often a person's wish is read. */
const BEATS = 10

/**
 * Says again and again that this process is alive, and reads which of its groups a person has paused.
 *
 * One statement a beat. A database that does not answer changes nothing here: the last wish holds.
 */
export class Heartbeat implements Service {
  readonly #parts: HeartbeatParts
  readonly #row: Omit<ProcessRow, 'paused'>
  readonly #leaseMs: number
  readonly #loop: Loop

  constructor(parts: HeartbeatParts, row: Omit<ProcessRow, 'paused'>, leaseMs: number) {
    this.#parts = parts
    this.#row = row
    this.#leaseMs = leaseMs
    this.#loop = new Loop('heartbeat', (signal) => this.#run(signal))
  }

  /** Resolves after the first beat: nothing is consumed before the others can see who does. */
  async start(): Promise<void> {
    await this.#parts.processes.prune()
    await this.#beat()
    await this.#loop.start()
  }

  /** To be called when nothing of the groups runs any more. */
  async stop(): Promise<void> {
    await this.#loop.stop()
    // If it cannot be said, the others learn it when the last beat is old.
    await this.#parts.processes.end(this.#row.id).catch(() => undefined)
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, diagnostics } = this.#parts
    while (!signal.aborted) {
      await clock.sleep(this.#leaseMs / BEATS, signal)
      if (signal.aborted) return
      try {
        await this.#beat()
      } catch (error) {
        diagnostics.emit('process.heartbeat_missed', { reason: messageOf(error) })
      }
    }
  }

  async #beat(): Promise<void> {
    const { processes, pause, diagnostics } = this.#parts
    const wanted = await processes.beat({ ...this.#row, paused: pause.effective }, this.#leaseMs)
    for (const group of this.#row.groups) {
      if (wanted.includes(group) === pause.isPaused(group)) continue
      diagnostics.emit(wanted.includes(group) ? 'consumer.paused' : 'consumer.resumed', { group })
    }
    pause.set(wanted)
  }
}
