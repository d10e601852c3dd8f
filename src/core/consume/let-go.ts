import { endsWithin } from '../../foundation/service.ts'
import type { CrashLoopParts } from './crash-loop.ts'
import type { GroupPartition } from './position-store.ts'

const AGAIN_MS = 500
const STOP_MS = 1_000

/**
 * Takes back what this process had noted of partitions that it has lost, so that their next owners need not wait for it.
 *
 * A database that is away is asked again until it answers: a living process that never lets go would be waited for.
 */
export class LetGo<Tx> {
  readonly #parts: CrashLoopParts<Tx>
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()

  constructor(parts: CrashLoopParts<Tx>) {
    this.#parts = parts
  }

  /** To be called when nothing of the partition runs here any more. */
  of(place: GroupPartition): void {
    const running = this.#unmark(place).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Waits for what is under way, but not long: a process that ends has let go of everything. */
  async stop(): Promise<void> {
    if (await endsWithin(Promise.all(this.#running), STOP_MS)) return
    this.#stopping.abort()
    await Promise.all(this.#running)
  }

  async #unmark(place: GroupPartition): Promise<void> {
    const { positions, processId, clock } = this.#parts
    while (!this.#stopping.signal.aborted) {
      try {
        return await positions.unmark(place, processId)
      } catch {
        await clock.sleep(AGAIN_MS, this.#stopping.signal)
      }
    }
  }
}
