import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf, StuckError } from '../../foundation/errors.ts'
import type { LogAdmin } from '../broker/log-admin.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import { Deferral } from './deferral.ts'
import type { Episodes } from './episodes.ts'
import { unlessAborted } from './unless-aborted.ts'

const CLUSTER_RETRY_MAX_MS = 2_000

export interface TopicRoutesParts {
  readonly admin: LogAdmin
  readonly episodes: Episodes
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  /** The count with which the topic's keys are hashed, `actual` where none is stored. */
  readonly storedPartitions: (topic: string, actual: number) => Promise<number>
  /** A topic became usable. */
  readonly onChange: () => void
  /** Somebody changed the stored count behind this owner's back: what it knows of the topic's lanes is void. */
  readonly onRehashed: (topic: string) => void
}

/** A topic, and whether it takes messages. */
export interface Route {
  readonly topic: string
  /** With how many partitions its keys are hashed; `undefined` while it is being looked up or must wait. */
  readonly partitions: number | undefined
  readonly deferral: Deferral
}

interface OwnRoute extends Route {
  partitions: number | undefined
  /** The count of the first lookup. */
  hashedWith: number | undefined
  failures: number
  /** Whether an incident may have been told of it, in a former term too, that has not ended. */
  troubled: boolean
}

/**
 * With how many partitions each topic's keys are hashed, and which topics must wait.
 *
 * The count is the one stored in the database: with another count a key would move to another partition, and
 * its later messages could overtake the earlier ones.
 */
export class TopicRoutes {
  readonly #parts: TopicRoutesParts
  readonly #retryMaxMs: number
  readonly #routes = new Map<string, OwnRoute>()
  readonly #stopped = new AbortController()

  constructor(parts: TopicRoutesParts, retryMaxMs: number) {
    this.#parts = parts
    this.#retryMaxMs = retryMaxMs
  }

  /** A topic that is met for the first time is looked up. */
  of(topic: string): Route {
    const known = this.#routes.get(topic)
    if (known !== undefined) return known
    const route: OwnRoute = { topic, partitions: undefined, hashedWith: undefined, deferral: new Deferral(), failures: 0, troubled: true }
    this.#routes.set(topic, route)
    this.#lookUp(route)
    return route
  }

  all(): Iterable<Route> {
    return this.#routes.values()
  }

  /** The topic as a whole is refused: it waits, longer each time, and is then looked up again. */
  refuse(topic: string, reason: string): void {
    const route = this.#routes.get(topic)
    if (route === undefined || route.partitions === undefined) return
    route.partitions = undefined
    this.#retryLater(route, reason, this.#retryMaxMs)
  }

  /** Kafka took messages of the topic: the next refusal begins with a short pause. */
  accepted(topic: string): void {
    const route = this.#routes.get(topic)
    if (route === undefined || !route.troubled) return
    route.failures = 0
    route.troubled = false
    this.#parts.episodes.end(topic)
  }

  /** Looks now and then whether somebody changed the topics that take messages. */
  async watch(everyMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#parts.clock.sleep(everyMs, signal)
      for (const route of this.#routes.values()) {
        if (!signal.aborted && route.partitions !== undefined) await unlessAborted(this.#recheck(route), signal)
      }
    }
  }

  async #recheck(route: OwnRoute): Promise<void> {
    try {
      const partitions = await this.#resolve(route.topic)
      if (partitions !== route.hashedWith) this.#parts.onRehashed(route.topic)
    } catch (error) {
      // A cluster that does not answer is noticed by whoever sends.
      if (isStuck(error)) this.refuse(route.topic, messageOf(error))
    }
  }

  stop(): void {
    this.#stopped.abort()
  }

  #lookUp(route: OwnRoute): void {
    this.#resolve(route.topic).then(
      (partitions) => {
        route.hashedWith ??= partitions
        if (route.hashedWith !== partitions) return this.#parts.onRehashed(route.topic)
        route.partitions = partitions
        this.#parts.onChange()
      },
      // A cluster that was away is asked again soon; a topic that is missing waits for a person.
      (error: unknown) => this.#retryLater(route, messageOf(error), isStuck(error) ? this.#retryMaxMs : CLUSTER_RETRY_MAX_MS),
    )
  }

  #retryLater(route: OwnRoute, reason: string, maxMs: number): void {
    const { clock, diagnostics } = this.#parts
    route.failures++
    route.troubled = true
    diagnostics.emit('relay.refused', { topic: route.topic, partition: -1, scope: 'topic', reason })
    const pauseMs = backoffMs(route.failures, { minMs: 250, maxMs })
    void clock.sleep(pauseMs, this.#stopped.signal).then(() => {
      if (!this.#stopped.signal.aborted) this.#lookUp(route)
    })
  }

  /** @throws StuckError the topic is missing, or has fewer partitions than its keys were hashed with */
  async #resolve(topic: string): Promise<number> {
    const { admin, episodes, storedPartitions } = this.#parts
    const actual = await admin.partitionsOf(topic)
    if (actual === undefined) throw await this.#stuck('topic_missing', topic, missing(topic), {})
    const stored = await storedPartitions(topic, actual)
    if (actual < stored) throw await this.#stuck('topic_partitions_shrank', topic, shrank(topic, stored, actual), { stored, actual })
    if (actual > stored) {
      const message = `Topic "${topic}" has ${actual} partitions, its keys are hashed with ${stored}. Messages go on to the first ${stored}, so that order holds. When every group has read everything, "trunkline topic apply --raise-partitions" uses them all.`
      await episodes.tellNews({ kind: 'topic_partitions_grew', subject: topic, message, details: { stored, actual } })
    }
    return stored
  }

  async #stuck(
    kind: 'topic_missing' | 'topic_partitions_shrank',
    topic: string,
    message: string,
    details: Readonly<Record<string, number>>,
  ): Promise<StuckError> {
    await this.#parts.episodes.tell({ kind, subject: topic, message, details })
    return new StuckError(kind.toUpperCase(), message, { topic, ...details })
  }
}

function isStuck(error: unknown): boolean {
  return isTrunklineError(error) && error.name === 'StuckError'
}

function missing(topic: string): string {
  return `Topic "${topic}" does not exist. Its messages wait in the outbox and leave when it is there: create it (trunkline topic apply), or correct the name in its schema for later ones.`
}

function shrank(topic: string, stored: number, actual: number): string {
  return `Topic "${topic}" has ${actual} partitions, but its keys were hashed with ${stored}: it was made anew. Its messages wait; recreate it with ${stored} partitions, or change the stored count when every group has read everything.`
}
