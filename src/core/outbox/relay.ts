import { z } from 'zod'
import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { duration } from '../../foundation/duration.ts'
import { messageOf } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'
import { Loop, type Service } from '../../foundation/service.ts'
import type { LogAdmin } from '../broker/log-admin.ts'
import type { LogProducer } from '../broker/log-producer.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { IncidentLog } from '../incident.ts'
import type { OutboxStore, OutboxStoreFactory, Term } from './outbox-store.ts'
import { RelayTerm } from './relay-term.ts'
import { WakeUp } from './wake-up.ts'

export const relayOptions = z.strictObject({
  /** Rows per pass, 1–10 000. Default 2 000. More is faster and keeps more rows in memory. */
  passSize: z.int().min(1).max(10_000).default(2_000),
  /** Messages per produce request of one partition, 1–10 000. Default 1 000. */
  batchSize: z.int().min(1).max(10_000).default(1_000),
  /** Bytes per produce request of one partition. Default 512 KiB; the broker's limit is 1 MiB unless it was raised. */
  batchBytes: z.int().min(1_024).max(16_777_216).default(524_288),
  /** Messages of one partition that wait in memory. Default 4 000; the others wait in the table. */
  laneSize: z.int().min(1).max(100_000).default(4_000),
  /** Messages in memory in all. Default 10 000. */
  inFlightMax: z.int().min(1).max(100_000).default(10_000),
  /** Longest pause between two looks at an empty outbox. Default '100ms'. Bounds the latency when nobody wakes the relay. */
  idleDelay: duration({ min: '2ms', max: '1m' }).prefault('100ms'),
  /** How long an owner that does not answer stays in office. Default '10s'. */
  lease: duration({ min: '1s', max: '5m' }).prefault('10s'),
  /** Longest pause before a refused or missing topic is tried again. Default '30s'. */
  retryMax: duration({ min: '100ms', max: '10m' }).prefault('30s'),
})
export type RelayOptions = z.input<typeof relayOptions>
export type RelaySettings = z.output<typeof relayOptions>

export interface RelayParts {
  readonly outboxes: OutboxStoreFactory
  readonly producer: LogProducer
  readonly admin: LogAdmin
  readonly incidents: IncidentLog
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

/**
 * Empties the outbox: reads rows in order, produces them, removes what Kafka acknowledged.
 *
 * Any number may run; one is in office at a time. A crash anywhere leaves rows present, and present rows are
 * sent again: at least once, per key in `seq` order.
 */
export class Relay implements Service {
  readonly #parts: RelayParts
  readonly #options: RelaySettings
  readonly #owner = newToken()
  readonly #wakeUp = new WakeUp()
  readonly #loop: Loop
  #state: 'stopped' | 'standing by' | 'in office' | 'without database' = 'stopped'

  constructor(parts: RelayParts, settings: RelaySettings) {
    this.#parts = parts
    this.#options = settings
    this.#loop = new Loop('relay', (signal) => this.#run(signal))
  }

  /** Whether it can work, now or as the next owner; Kafka need not be up for that. */
  get ready(): boolean {
    return this.#state === 'standing by' || this.#state === 'in office'
  }

  get state(): string {
    return this.#state
  }

  /** Says that the outbox has new rows: look now instead of at the end of the pause. */
  wake(): void {
    this.#wakeUp.wake()
  }

  async start(): Promise<void> {
    await this.#loop.start()
  }

  async stop(): Promise<void> {
    const stopped = this.#loop.stop()
    this.#wakeUp.wake()
    await stopped
    this.#state = 'stopped'
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, diagnostics } = this.#parts
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await this.#serve(signal)
        failures = 0
      } catch (error) {
        this.#state = 'without database'
        diagnostics.emit('relay.database_lost', { reason: messageOf(error) })
        await clock.sleep(backoffMs(failures, { minMs: 50, maxMs: 2_000 }), signal)
      }
    }
  }

  /** One set of connections: stands by until it is in office, and stays there until the term ends. */
  async #serve(signal: AbortSignal): Promise<void> {
    const lost = new AbortController()
    const store = await this.#parts.outboxes.open((reason) => lost.abort(reason))
    const either = AbortSignal.any([signal, lost.signal])
    try {
      const term = await this.#acquire(store, either)
      if (term !== undefined) await this.#hold(store, term, either)
      if (lost.signal.aborted) throw lost.signal.reason
    } finally {
      await store.close()
    }
  }

  async #acquire(store: OutboxStore, signal: AbortSignal): Promise<Term | undefined> {
    const { lease } = this.#options
    while (!signal.aborted) {
      const term = await store.acquire(this.#owner, lease)
      if (term !== undefined) return term
      this.#state = 'standing by'
      await this.#parts.clock.sleep(Math.min(lease / 5, 1_000), signal)
    }
    return undefined
  }

  async #hold(store: OutboxStore, term: Term, signal: AbortSignal): Promise<void> {
    this.#state = 'in office'
    this.#parts.diagnostics.emit('relay.term_started', { epoch: term.epoch })
    const office = new RelayTerm({ ...this.#parts, store, wakeUp: this.#wakeUp }, term, this.#options)
    const reason = await office.serve(signal)
    this.#parts.diagnostics.emit('relay.term_ended', { epoch: term.epoch, reason })
  }
}
