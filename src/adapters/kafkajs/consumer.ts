import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { LogConsumer, LogConsumerListener } from '../../core/broker/log-consumer.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { backoffMs } from '../../foundation/backoff.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError, messageOf, TransientError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { type KafkaAddress, KafkajsClient } from './client.ts'
import { mapError, topicMissing } from './errors.ts'
import { MEMBERSHIP_RETRY, Membership } from './membership.ts'

export interface KafkajsConsumerParts {
  readonly address: KafkaAddress
  /** Asked for topics and ranges; not closed by the consumer. */
  readonly admin: LogAdmin
  readonly diagnostics?: BackboneDiagnostics
}

const BACKOFF = { minMs: 200, maxMs: 2_000 }
/** A membership that lived so long was healthy: the next trouble starts with a short backoff again. */
const HEALTHY_MS = 30_000
const QUIET_ATTEMPTS = 5

/** Reads topics as a member of a group, through kafkajs, and replaces kafkajs's consumer whenever it gives up. */
export class KafkajsConsumer implements LogConsumer {
  readonly #parts: KafkajsConsumerParts
  readonly #group: string
  readonly #topics: readonly string[]
  readonly #abort = new AbortController()
  readonly #joined = Promise.withResolvers<void>()
  #membership: Membership | undefined
  #supervising: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #hasJoined = false
  #lastError: unknown

  constructor(parts: KafkajsConsumerParts, group: string, topics: readonly string[]) {
    this.#parts = parts
    this.#group = group
    this.#topics = topics
    this.#joined.promise.catch(() => undefined) // heard by whoever starts it, if anyone does
  }

  async start(listener: LogConsumerListener, signal: AbortSignal): Promise<void> {
    this.#supervising ??= this.#supervise(listener)
    const giveUp = (): void => this.#joined.reject(mapError(this.#lastError ?? signal.reason, this.#parts.address.brokers))
    signal.addEventListener('abort', giveUp)
    if (signal.aborted) giveUp()
    try {
      await this.#joined.promise
    } catch (error) {
      await this.stop(0)
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stopping ??= this.#stop(deadlineMs)
    await this.#stopping
  }

  async #stop(deadlineMs: number): Promise<void> {
    this.#abort.abort()
    this.#joined.reject(new TransientError('STOPPED', `The consumer of "${this.#group}" was stopped before it had joined its group.`))
    await this.#membership?.leave(deadlineMs)
    if (this.#supervising !== undefined) await endsWithin(this.#supervising, deadlineMs)
  }

  /** Never rejects. */
  async #supervise(listener: LogConsumerListener): Promise<void> {
    const { signal } = this.#abort
    for (let attempt = 1; !signal.aborted; attempt++) {
      const started = systemClock.monotonic()
      try {
        await this.#beMember(listener, attempt)
      } catch (error) {
        if (signal.aborted) return
        if (systemClock.monotonic() - started > HEALTHY_MS) attempt = 1
        if (this.#isFatal(error, listener, attempt)) return
        await systemClock.sleep(backoffMs(attempt, BACKOFF), signal)
      }
    }
  }

  /** Says loudly what went wrong. @returns whether trying again is of no use */
  #isFatal(error: unknown, listener: LogConsumerListener, attempt: number): boolean {
    const mapped = mapError(error, this.#parts.address.brokers)
    this.#lastError = mapped
    const reason = messageOf(mapped)
    // A cluster that has just started loads its coordinator first: nobody need be woken for that.
    const isStarting = !this.#hasJoined && attempt <= QUIET_ATTEMPTS && mapped instanceof TransientError
    this.#parts.diagnostics?.emit(isStarting ? 'consumer.joining' : 'consumer.restarted', { group: this.#group, reason })
    if (!(mapped instanceof ConfigurationError)) return false
    if (this.#hasJoined) listener.onFailure(mapped)
    else this.#joined.reject(mapped)
    return true
  }

  /** Rejects when the membership ends for another reason than `stop`. */
  async #beMember(listener: LogConsumerListener, attempt: number): Promise<void> {
    const { address, admin, diagnostics } = this.#parts
    for (const topic of this.#topics) {
      if ((await admin.partitionsOf(topic)) === undefined) throw topicMissing(topic)
    }
    if (this.#abort.signal.aborted) return
    const membership = new Membership({
      client: new KafkajsClient(address, attempt - 1, MEMBERSHIP_RETRY),
      group: this.#group,
      topics: this.#topics,
      listener,
      rangeOf: (partition) => admin.rangeOf(partition),
      diagnostics,
      onJoined: () => {
        this.#hasJoined = true
        this.#joined.resolve()
      },
    })
    this.#membership = membership
    try {
      await membership.run()
    } finally {
      this.#membership = undefined
      if (!this.#abort.signal.aborted) await membership.abandon()
    }
  }
}
