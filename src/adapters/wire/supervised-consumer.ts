import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { LogConsumer, LogConsumerListener } from '../../core/broker/log-consumer.ts'
import { TopicWatch } from '../../core/broker/topic-watch.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { backoffMs } from '../../foundation/backoff.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { topicMissing } from './protocol-errors.ts'

/** One driver's membership in a group, from joining until it ends or we leave. */
export interface Membership {
  /** Whether the group counts us as a member, as far as we can know. */
  readonly joined: boolean
  /** Resolves after `leave`; rejects when the membership ends by itself. */
  run(): Promise<void>
  /** Stops reading, waits for running batches within the deadline, commits, leaves the group. */
  leave(deadlineMs: number): Promise<void>
  /** Lets go after a failure: nobody commits or leaves any more. Resolves when no batch runs. */
  abandon(): Promise<void>
}

export interface MembershipRequest {
  /** All of them exist. */
  readonly topics: readonly string[]
  readonly listener: LogConsumerListener
  /** Counts the memberships that failed before. */
  readonly attempt: number
  /** To be called when an assignment is known, also an empty one. */
  readonly onJoined: () => void
}

export interface SupervisedConsumerParts {
  readonly membership: (request: MembershipRequest) => Membership
  /** Asked for topics; not closed by the consumer. */
  readonly admin: LogAdmin
  readonly mapError: (error: unknown) => TrunklineError
  readonly diagnostics: BackboneDiagnostics | undefined
}

const BACKOFF = { minMs: 200, maxMs: 2_000 }
/** Who was let in once and is not now waits for a person, who needs no answer within a second. */
const REFUSED_BACKOFF = { minMs: 1_000, maxMs: 30_000 }
/** A membership that lived so long was healthy: the next trouble starts with a short backoff again. */
const HEALTHY_MS = 30_000
const QUIET_ATTEMPTS = 5
/** For a join that is on its way, so that the group need not wait for a member that is gone. */
const LEAVE_MS = 2_000
/** For running batches, before the group is joined again with more topics. */
const REJOIN_MS = 5_000

/** Reads topics as a member of a group, and begins a new membership whenever a driver's ends by itself. */
export class SupervisedConsumer implements LogConsumer {
  readonly #parts: SupervisedConsumerParts
  readonly #group: string
  readonly #topics: readonly string[]
  readonly #abort = new AbortController()
  readonly #joined = Promise.withResolvers<void>()
  #membership: Membership | undefined
  #supervising: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #hasJoined = false
  #lastError: unknown

  constructor(parts: SupervisedConsumerParts, group: string, topics: readonly string[]) {
    this.#parts = parts
    this.#group = group
    this.#topics = topics
    this.#joined.promise.catch(() => undefined) // heard by whoever starts it, if anyone does
  }

  get joined(): boolean {
    return !this.#abort.signal.aborted && (this.#membership?.joined ?? false)
  }

  async start(listener: LogConsumerListener, signal: AbortSignal): Promise<void> {
    this.#supervising ??= this.#supervise(listener)
    const giveUp = (): void => this.#joined.reject(this.#parts.mapError(this.#lastError ?? signal.reason))
    signal.addEventListener('abort', giveUp)
    if (signal.aborted) giveUp()
    try {
      await this.#joined.promise
    } catch (error) {
      await this.stop(LEAVE_MS)
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
    const topics = new TopicWatch(this.#parts.admin, this.#topics, listener)
    for (let attempt = 1; !signal.aborted; attempt++) {
      const started = systemClock.monotonic()
      try {
        await this.#beMember(listener, topics, attempt)
        attempt = 0
      } catch (error) {
        if (signal.aborted) return
        if (systemClock.monotonic() - started > HEALTHY_MS) attempt = 1
        const mapped = this.#parts.mapError(error)
        this.#report(mapped, attempt)
        const isRefused = mapped instanceof ConfigurationError
        if (isRefused && !this.#hasJoined) {
          this.#joined.reject(mapped)
          return
        }
        await systemClock.sleep(backoffMs(attempt, isRefused ? REFUSED_BACKOFF : BACKOFF), signal)
      }
    }
  }

  /** Says loudly what went wrong. */
  #report(mapped: TrunklineError, attempt: number): void {
    this.#lastError = mapped
    const reason = messageOf(mapped)
    // A cluster that has just started loads its coordinator first: nobody need be woken for that.
    const isStarting = !this.#hasJoined && attempt <= QUIET_ATTEMPTS && mapped instanceof TransientError
    this.#parts.diagnostics?.emit(isStarting ? 'consumer.joining' : 'consumer.restarted', { group: this.#group, reason })
  }

  /** Resolves at `stop`, and when more topics are there to join with. Rejects when the membership ends by itself. */
  async #beMember(listener: LogConsumerListener, topics: TopicWatch, attempt: number): Promise<void> {
    const existing = await topics.existing()
    if (existing.length === 0) throw topicMissing(this.#topics.join('", "'))
    if (this.#abort.signal.aborted) return
    const membership = this.#parts.membership({
      topics: existing,
      listener,
      attempt: attempt - 1,
      onJoined: () => {
        this.#hasJoined = true
        this.#joined.resolve()
      },
    })
    this.#membership = membership
    const ended = new AbortController()
    try {
      const found = topics.more(existing, ended.signal)
      await Promise.race([membership.run(), found])
      if (!this.#abort.signal.aborted) await membership.leave(REJOIN_MS)
    } finally {
      ended.abort()
      this.#membership = undefined
      if (!this.#abort.signal.aborted) await membership.abandon()
    }
  }
}
