import { systemClock } from '../../foundation/clock.ts'
import type { LogAdmin } from './log-admin.ts'
import type { LogConsumerListener } from './log-consumer.ts'

const LOOK_AGAIN_MS = 2_000

/** Which topics of a group are there. A group is joined with those only. */
export class TopicWatch {
  readonly #admin: LogAdmin
  readonly #topics: readonly string[]
  readonly #listener: LogConsumerListener
  readonly #told = new Set<string>()

  constructor(admin: LogAdmin, topics: readonly string[], listener: LogConsumerListener) {
    this.#admin = admin
    this.#topics = topics
    this.#listener = listener
  }

  /** Tells the listener of each that is missing, once. @throws TransientError the cluster is unreachable */
  async existing(): Promise<readonly string[]> {
    const existing: string[] = []
    for (const topic of this.#topics) {
      if ((await this.#admin.partitionsOf(topic)) === undefined) {
        this.#tell(topic)
      } else {
        this.#told.delete(topic)
        existing.push(topic)
      }
    }
    return existing
  }

  /** Resolves when a topic exists that is not among these, or when the signal aborts. Never rejects. */
  async more(than: readonly string[], signal: AbortSignal): Promise<void> {
    if (than.length === this.#topics.length) return await aborted(signal)
    while (!signal.aborted) {
      await systemClock.sleep(LOOK_AGAIN_MS, signal)
      if (signal.aborted) return
      // A cluster that does not answer now ends the membership anyway, or answers the next time.
      const existing = await this.existing().catch(() => than)
      if (existing.some((topic) => !than.includes(topic))) return
    }
  }

  /** Nobody waits for the listener: reading the other topics must not. */
  #tell(topic: string): void {
    if (this.#told.has(topic)) return
    this.#told.add(topic)
    const telling = async (): Promise<void> => await this.#listener.onTopicMissing?.(topic)
    telling().catch(() => this.#told.delete(topic))
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
