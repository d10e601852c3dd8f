import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf } from '../../foundation/errors.ts'
import type { LogAdmin } from '../broker/log-admin.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Incident, IncidentLog } from '../incident.ts'
import type { Blocked, OutboxStore } from './outbox-store.ts'

const CLUSTER_RETRY_MAX_MS = 2_000

export interface TopicRoutesParts {
  readonly store: OutboxStore
  readonly admin: LogAdmin
  readonly incidents: IncidentLog
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  /** A topic became usable. */
  readonly onChange: () => void
}

interface Route {
  partitions: number | undefined
  failures: number
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
  readonly #routes = new Map<string, Route>()
  readonly #reported = new Map<string, Promise<void>>()
  readonly #stopped = new AbortController()

  constructor(parts: TopicRoutesParts, retryMaxMs: number) {
    this.#parts = parts
    this.#retryMaxMs = retryMaxMs
  }

  /** @returns the count; `undefined` while the topic is being looked up or must wait */
  partitionsOf(topic: string): number | undefined {
    const route = this.#routes.get(topic)
    if (route !== undefined) return route.partitions
    this.#lookUp(topic, { partitions: undefined, failures: 0 })
    return undefined
  }

  /** Topics whose rows stay in the table for now. */
  blocked(): Blocked[] {
    const waiting = [...this.#routes].filter(([, route]) => route.partitions === undefined)
    return waiting.map(([topic]) => ({ topic, partition: undefined, partitions: 1 }))
  }

  /** Kafka refused the topic as a whole: it waits, then is looked up again. */
  refuse(topic: string, reason: string): void {
    const route = this.#routes.get(topic)
    if (route === undefined || route.partitions === undefined) return
    route.partitions = undefined
    this.#retryLater(topic, route, reason, this.#retryMaxMs)
  }

  stop(): void {
    this.#stopped.abort()
  }

  #lookUp(topic: string, route: Route): void {
    this.#routes.set(topic, route)
    this.#resolve(topic).then(
      (partitions) => {
        route.partitions = partitions
        route.failures = 0
        this.#parts.onChange()
      },
      // A cluster that was away is asked again soon; a topic that is missing waits for a person.
      (error: unknown) =>
        this.#retryLater(topic, route, messageOf(error), isTrunklineError(error) ? CLUSTER_RETRY_MAX_MS : this.#retryMaxMs),
    )
  }

  #retryLater(topic: string, route: Route, reason: string, maxMs: number): void {
    const { clock, diagnostics } = this.#parts
    route.failures++
    diagnostics.emit('relay.refused', { topic, partition: -1, scope: 'topic', reason })
    const pauseMs = backoffMs(route.failures, { minMs: 250, maxMs })
    void clock.sleep(pauseMs, this.#stopped.signal).then(() => {
      if (!this.#stopped.signal.aborted) this.#lookUp(topic, route)
    })
  }

  async #resolve(topic: string): Promise<number> {
    const { store, admin } = this.#parts
    const actual = await admin.partitionsOf(topic)
    if (actual === undefined) {
      await this.report({
        kind: 'topic_missing',
        subject: topic,
        message: `Topic "${topic}" does not exist. Its messages wait in the outbox; create the topic (trunkline dev creates it in development).`,
        details: {},
      })
      throw new Error(`topic "${topic}" does not exist`)
    }
    const stored = (await store.partitionsOf(topic)) ?? (await store.storePartitions(topic, actual))
    if (actual < stored) throw await this.#shrank(topic, stored, actual)
    if (actual > stored) await this.#grew(topic, stored, actual)
    return stored
  }

  async #grew(topic: string, stored: number, actual: number): Promise<void> {
    await this.report({
      kind: 'topic_partitions_grew',
      subject: topic,
      message: `Topic "${topic}" has ${actual} partitions, its keys are hashed with ${stored}. Messages go on to the first ${stored}, so that order holds.`,
      details: { stored, actual },
    })
  }

  async #shrank(topic: string, stored: number, actual: number): Promise<Error> {
    await this.report({
      kind: 'topic_partitions_shrank',
      subject: topic,
      message: `Topic "${topic}" has ${actual} partitions, but its keys were hashed with ${stored}: it was made anew. Its messages wait; recreate it with ${stored} partitions, or change the stored count when every group has read everything.`,
      details: { stored, actual },
    })
    return new Error(`topic "${topic}" has ${actual} partitions, expected ${stored}`)
  }

  /** Records it once a term: the record tells of an episode, not of each attempt. @throws TransientError it is not recorded yet */
  async report(incident: Incident): Promise<void> {
    const episode = `${incident.kind} ${incident.subject}`
    const recording = this.#reported.get(episode) ?? this.#parts.incidents.record(incident)
    this.#reported.set(episode, recording)
    try {
      await recording
    } catch (error) {
      this.#reported.delete(episode)
      throw error
    }
  }
}
