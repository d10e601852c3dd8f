import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { systemClock } from '../../foundation/clock.ts'
import type { PermanentError } from '../../foundation/errors.ts'
import { batchTooLarge } from './protocol-errors.ts'

interface KnownLimit {
  /** Infinite where it is not told: then the broker decides. */
  readonly bytesMax: number
  readonly askedAt: number
}

/** Before a batch is refused the limit is asked for again, but not more often than this: it may have been raised. */
const AGAIN_MS = 1_000
/** Who may not read a topic's configuration may be permitted to later. */
const UNTOLD_AGAIN_MS = 300_000

/**
 * The largest batch that each topic takes (`max.message.bytes`), asked for once: so a batch that cannot be taken need
 * not travel to hear it.
 *
 * To know it is worth a request and needs a right (`DESCRIBE_CONFIGS`); without either the broker's refusal says the same.
 */
export class TopicLimits {
  readonly #known = new Map<string, KnownLimit>()
  readonly #asking = new Map<string, Promise<KnownLimit>>()

  /**
   * @param ask resolves to `undefined` where it is not told
   * @returns why the topic does not take so many bytes; `undefined` when it may
   */
  async refusal(target: TopicPartition, bytes: number, ask: () => Promise<number | undefined>): Promise<PermanentError | undefined> {
    const { topic } = target
    let limit = this.#known.get(topic)
    if (limit === undefined || this.#isDue(limit, bytes)) limit = await this.#ask(topic, ask)
    return bytes > limit.bytesMax ? batchTooLarge(target, bytes, limit.bytesMax) : undefined
  }

  /** The broker has refused what was within it: it was lowered. */
  forget(topic: string): void {
    if (this.#known.get(topic)?.bytesMax !== Number.POSITIVE_INFINITY) this.#known.delete(topic)
  }

  #isDue({ bytesMax, askedAt }: KnownLimit, bytes: number): boolean {
    const age = systemClock.monotonic() - askedAt
    return bytesMax === Number.POSITIVE_INFINITY ? age > UNTOLD_AGAIN_MS : bytes > bytesMax && age > AGAIN_MS
  }

  async #ask(topic: string, ask: () => Promise<number | undefined>): Promise<KnownLimit> {
    let asking = this.#asking.get(topic)
    if (asking === undefined) {
      asking = this.#learn(topic, ask).finally(() => this.#asking.delete(topic))
      this.#asking.set(topic, asking)
    }
    return await asking
  }

  async #learn(topic: string, ask: () => Promise<number | undefined>): Promise<KnownLimit> {
    // What is wrong with the connection, the batch itself will hear.
    const told = (await ask().catch(() => undefined)) ?? 0
    // A server that only resembles Kafka may tell nothing, or 0: believed, that would refuse every message of the topic.
    const bytesMax = told > 0 ? told : Number.POSITIVE_INFINITY
    const limit = { bytesMax, askedAt: systemClock.monotonic() }
    this.#known.set(topic, limit)
    return limit
  }
}
