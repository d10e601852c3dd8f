import { endsWithin } from '../../foundation/service.ts'
import type { CrashLoopParts } from './crash-loop.ts'
import type { HeldPartition } from './effect.ts'
import type { GroupPartition } from './position-store.ts'

type Held = GroupPartition & Pick<HeldPartition, 'epoch'>

const AGAIN_MS = 500
const STOP_MS = 1_000

/**
 * Takes back what this process had noted of partitions that it has lost, so that their next owners need not wait for it.
 *
 * A database that is away is asked again until it answers: a living process that never lets go would be waited for.
 */
export class LetGo<Tx> {
  readonly #parts: CrashLoopParts<Tx>
  readonly #running = new Map<string, { readonly stopping: AbortController; readonly ended: Promise<void> }>()

  constructor(parts: CrashLoopParts<Tx>) {
    this.#parts = parts
  }

  /** To be called when nothing of the partition runs here any more. */
  of(held: Held): void {
    const name = nameOf(held)
    const before = this.#running.get(name)?.ended
    const stopping = new AbortController()
    const ended = Promise.resolve(before)
      .then(() => this.#leave(held, stopping.signal))
      .finally(() => {
        if (this.#running.get(name)?.ended === ended) this.#running.delete(name)
      })
    this.#running.set(name, { stopping, ended })
  }

  /** To be awaited before the partition is taken again: a late word would take back what is noted from then on. */
  async end(place: GroupPartition): Promise<void> {
    const running = this.#running.get(nameOf(place))
    running?.stopping.abort()
    await running?.ended
  }

  /** Waits for what is under way, but not long: a process that ends has let go of everything. */
  async stop(): Promise<void> {
    const running = [...this.#running.values()]
    const ended = Promise.all(running.map((each) => each.ended))
    if (await endsWithin(ended, STOP_MS)) return
    for (const { stopping } of running) stopping.abort()
    await ended
  }

  async #leave(held: Held, signal: AbortSignal): Promise<void> {
    const { positions, processId, clock } = this.#parts
    while (!signal.aborted) {
      try {
        return await positions.leave(held, held.epoch, processId)
      } catch {
        await clock.sleep(AGAIN_MS, signal)
      }
    }
  }
}

function nameOf({ topic, partition }: GroupPartition): string {
  return `${topic}/${partition}`
}
