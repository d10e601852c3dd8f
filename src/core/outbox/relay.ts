import { backoffMs } from '../../foundation/backoff.ts'
import { isTrunklineError, messageOf } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'
import { endsWithin, Loop, type Service } from '../../foundation/service.ts'
import { Episodes } from './episodes.ts'
import { LookPace } from './look-pace.ts'
import type { OutboxStore, OutboxStoreEvents, Term } from './outbox-store.ts'
import type { RelayParts, RelaySettings } from './relay-options.ts'
import { RelayTerm } from './relay-term.ts'
import { unlessAborted } from './unless-aborted.ts'
import { WakeUp } from './wake-up.ts'

const STOP_GRACE_MS = 1_000
/** So often at least a stand-by asks, lest it wait for the end of a lease that was given back long ago … */
const ASKS_WITHIN_MS = 1_000
/** … or where it is called: then only a silent database would be noticed later. */
const HEARING_ASKS_WITHIN_MS = 2_500
/** Another may have been faster, and the answer is of a moment before that. */
const SOONEST_MS = 10

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
  readonly #vacant = new WakeUp()
  readonly #episodes: Episodes
  readonly #loop: Loop
  /** Of the term in office. */
  #pace: LookPace | undefined
  #toldPolling = false
  #state: 'stopped' | 'standing by' | 'in office' | 'without database' | 'misconfigured' = 'stopped'

  constructor(parts: RelayParts, settings: RelaySettings) {
    this.#parts = parts
    this.#options = settings
    this.#episodes = new Episodes(parts.incidents)
    this.#loop = new Loop('relay', (signal) => this.#run(signal))
  }

  /** Whether it can work, now or as the next owner; Kafka need not be up for that. */
  get ready(): boolean {
    return this.#state === 'standing by' || this.#state === 'in office'
  }

  get inOffice(): boolean {
    return this.#state === 'in office'
  }

  get state(): string {
    return this.#state
  }

  /** Says that the outbox has new rows: look now instead of at the end of the pause. */
  wake(): void {
    this.#pace?.called(this.#parts.clock.monotonic())
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
        const isWrong = isTrunklineError(error) && error.name === 'ConfigurationError'
        this.#state = isWrong ? 'misconfigured' : 'without database'
        diagnostics.emit(isWrong ? 'relay.misconfigured' : 'relay.database_lost', { reason: messageOf(error) })
        await clock.sleep(backoffMs(failures, { minMs: 50, maxMs: 2_000 }), signal)
      }
    }
  }

  /** One set of connections: stands by until it is in office, and stays there until the term ends. */
  async #serve(signal: AbortSignal): Promise<void> {
    const lost = new AbortController()
    const store = await this.#open(
      { onLost: (reason) => lost.abort(reason), onCalled: () => this.wake(), onVacant: () => this.#vacant.wake() },
      signal,
    )
    if (store === undefined) return
    const either = AbortSignal.any([signal, lost.signal])
    const hearing = this.#listen(store, either)
    try {
      const term = await this.#acquire(store, hearing, either)
      if (term !== undefined) await this.#hold(store, term, hearing, either)
      if (lost.signal.aborted) throw lost.signal.reason
    } finally {
      await store.close()
    }
  }

  /** @returns `undefined` when the relay is stopped first; connections that are made later are closed */
  async #open(events: OutboxStoreEvents, signal: AbortSignal): Promise<OutboxStore | undefined> {
    const opening = this.#parts.outboxes.open(events)
    const store = await unlessAborted(opening, signal)
    if (store === undefined) opening.then((late) => late.close()).catch(() => undefined)
    return store
  }

  /** Says once where only polling finds what other processes publish. @returns whether their calls are heard */
  async #listen(store: OutboxStore, signal: AbortSignal): Promise<boolean> {
    const hears = await unlessAborted(
      store.hears().catch(() => undefined),
      signal,
    )
    if (hears === false && !this.#toldPolling) {
      this.#toldPolling = true
      const reason = `LISTEN does not reach this process, as behind a transaction pooler. What other processes publish is found by polling, within ${this.#options.idleDelay} ms; give the relay a direct connection if that is too late.`
      this.#parts.diagnostics.emit('relay.polling_only', { reason })
    }
    return hears === true
  }

  async #acquire(store: OutboxStore, hearing: Promise<boolean>, signal: AbortSignal): Promise<Term | undefined> {
    const { lease } = this.#options
    let asksWithinMs = Math.min(lease / 5, ASKS_WITHIN_MS)
    void hearing.then((hears) => {
      if (hears) asksWithinMs = Math.min(lease / 4, HEARING_ASKS_WITHIN_MS)
    })
    while (!signal.aborted) {
      const acquiring = store.acquire(this.#owner, lease)
      const { term, heldForMs = 0 } = (await unlessAborted(acquiring, signal)) ?? {}
      if (term !== undefined) return term
      // It may have come into office just now; then it must leave it, or the next one waits for the lease.
      if (signal.aborted) return (await endsWithin(acquiring, STOP_GRACE_MS)) ? (await acquiring).term : undefined
      this.#state = 'standing by'
      // An owner that leaves in order calls; one that died says nothing, but its lease ends.
      await this.#vacant.wait(Math.max(SOONEST_MS, Math.min(heldForMs, asksWithinMs)), signal)
    }
    return undefined
  }

  async #hold(store: OutboxStore, term: Term, hearing: Promise<boolean>, signal: AbortSignal): Promise<void> {
    this.#state = 'in office'
    this.#parts.diagnostics.emit('relay.term_started', { epoch: term.epoch })
    const pace = new LookPace(this.#options.idleDelay, hearing)
    this.#pace = pace
    const office = new RelayTerm({ ...this.#parts, store, episodes: this.#episodes, pace, wakeUp: this.#wakeUp }, term, this.#options)
    const reason = await office.serve(signal)
    this.#parts.diagnostics.emit('relay.term_ended', { epoch: term.epoch, reason })
    if (office.failure !== undefined) throw office.failure
  }
}
