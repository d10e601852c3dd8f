import { messageOf } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { Lanes } from './lanes.ts'
import { type OutboxStore, type PendingRow, sizeOf, type Term } from './outbox-store.ts'
import type { RelayParts, RelaySettings } from './relay-options.ts'
import { TopicRoutes } from './topic-routes.ts'
import { unlessAborted } from './unless-aborted.ts'
import type { WakeUp } from './wake-up.ts'

const REMOVE_MAX = 5_000
const STOP_DEADLINE_MS = 5_000
const RELEASE_MS = 1_000

export interface RelayTermParts extends RelayParts {
  readonly store: OutboxStore
  readonly wakeUp: WakeUp
}

/** One term in office: everything it remembers is forgotten when it ends, and the next starts from the lowest row. */
export class RelayTerm {
  readonly #parts: RelayTermParts
  readonly #term: Term
  readonly #options: RelaySettings
  readonly #ended = new AbortController()
  readonly #routes: TopicRoutes
  readonly #lanes: Lanes
  /** Rows that were read and are not yet known to be gone, by seq. */
  readonly #inFlight = new Map<bigint, PendingRow>()
  #inFlightBytes = 0
  #acked: PendingRow[] = []
  #removing: Promise<void> | undefined
  #failure: unknown

  constructor(parts: RelayTermParts, term: Term, options: RelaySettings) {
    this.#parts = parts
    this.#term = term
    this.#options = options
    this.#routes = new TopicRoutes({ ...parts, onChange: () => parts.wakeUp.wake() }, options.retryMax)
    this.#lanes = new Lanes({ ...parts, routes: this.#routes }, options, {
      onAcked: (rows) => this.#settle(rows),
      onDropped: (rows) => this.#forget(rows),
      onFailed: (error) => this.#fail(error),
    })
  }

  /** What ended the term, where that was an error; then the next term should not begin at once. */
  get failure(): unknown {
    return this.#failure
  }

  /** Works until the signal aborts or the term is over. @returns why it ended */
  async serve(signal: AbortSignal): Promise<string> {
    const either = AbortSignal.any([signal, this.#ended.signal])
    const renewing = this.#renew(either).catch((error: unknown) => this.#fail(error))
    try {
      // A read that nobody answers must hold up neither the end of a term nor the stop.
      await unlessAborted(this.#pass(either), either)
    } catch (error) {
      this.#fail(error)
    }
    await this.#leave()
    await renewing
    return this.#ended.signal.aborted ? String(this.#ended.signal.reason) : 'stopped'
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { store, wakeUp, diagnostics } = this.#parts
    const idleDelayMs = this.#options.idleDelay
    let pauseMs = 2
    while (!signal.aborted) {
      const room = this.#options.inFlightMax - this.#inFlight.size
      const bytesMax = this.#options.inFlightBytes - this.#inFlightBytes
      if (room > 0 && bytesMax > 0) {
        const { blocked } = this.#lanes.beginPass()
        const rows = await store.fetchPending(this.#term, {
          limit: Math.min(this.#options.passSize, room),
          bytesMax,
          inFlight: [...this.#inFlight.keys()],
          blocked: [...blocked, ...this.#routes.blocked()],
        })
        if (signal.aborted) return
        if (rows === undefined) return this.#end('another owner took the lease')
        const taken = this.#take(rows)
        if (rows.length > 0) diagnostics.emit('relay.pass', { rows: rows.length, inFlight: this.#inFlight.size })
        if (taken > 0) {
          pauseMs = 2
          continue
        }
      }
      const rung = await wakeUp.wait(pauseMs, signal)
      pauseMs = rung ? 2 : Math.min(pauseMs * 2, idleDelayMs)
    }
  }

  /** Hands rows to their lanes. @returns how many were taken; the others stay in the table for a later pass */
  #take(rows: readonly PendingRow[]): number {
    let taken = 0
    for (const row of rows) {
      const partitions = this.#routes.partitionsOf(row.topic)
      if (partitions === undefined) continue
      this.#inFlight.set(row.seq, row)
      this.#inFlightBytes += sizeOf(row)
      if (this.#lanes.offer(row, partitions)) taken++
      else this.#forget([row])
    }
    return taken
  }

  #settle(rows: readonly PendingRow[]): void {
    for (const row of rows) this.#acked.push(row)
    this.#removing ??= this.#remove()
  }

  /** Rows that were not sent and will be read again; they are in the table. */
  #forget(rows: readonly PendingRow[]): void {
    for (const row of rows) if (this.#inFlight.delete(row.seq)) this.#inFlightBytes -= sizeOf(row)
  }

  async #remove(): Promise<void> {
    const { store, diagnostics, wakeUp } = this.#parts
    try {
      // Deletes of the same instant share one statement.
      await Promise.resolve()
      while (this.#acked.length > 0) {
        const rows = this.#acked.slice(0, REMOVE_MAX)
        this.#acked = this.#acked.slice(REMOVE_MAX)
        diagnostics.emit('relay.removing', { messages: rows.length })
        if (!(await store.remove(this.#term, rows))) return this.#end('another owner took the lease')
        const wasFull = this.#inFlight.size >= this.#options.inFlightMax || this.#inFlightBytes >= this.#options.inFlightBytes
        // Only now: a pass that began before the delete was committed still has these rows in its list.
        this.#forget(rows)
        diagnostics.emit('relay.removed', { messages: rows.length })
        if (wasFull) wakeUp.wake()
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#removing = undefined
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#parts
    const leaseMs = this.#options.lease
    // Counted from before the request left: the server's lease began later than that.
    let deadline = clock.monotonic() + leaseMs
    while (!signal.aborted) {
      await clock.sleep(leaseMs / 3, signal)
      if (signal.aborted) return
      const sentAt = clock.monotonic()
      const renewed = store.renew(this.#term, leaseMs)
      const inTime = await unlessAborted(endsWithin(renewed, Math.max(0, deadline - sentAt)), signal)
      if (signal.aborted) return
      if (!inTime) return this.#end('the lease could not be renewed in time')
      if (!(await renewed)) return this.#end('another owner took the lease')
      deadline = sentAt + leaseMs
    }
  }

  async #leave(): Promise<void> {
    const { store, clock } = this.#parts
    const deadline = clock.monotonic() + STOP_DEADLINE_MS
    const left = (): number => Math.max(0, deadline - clock.monotonic())
    await this.#lanes.stop(left())
    if (this.#removing !== undefined) await endsWithin(this.#removing, left())
    this.#routes.stop()
    if (this.#ended.signal.aborted) return
    const released = store.release(this.#term).catch(() => undefined)
    await endsWithin(released, Math.max(RELEASE_MS, left()))
    this.#end('stopped')
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#end(messageOf(error))
  }

  #end(reason: string): void {
    if (!this.#ended.signal.aborted) this.#ended.abort(reason)
  }
}
