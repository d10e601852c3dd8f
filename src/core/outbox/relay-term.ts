import { messageOf } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { Lanes } from './lanes.ts'
import type { OutboxStore, PendingRow, Term } from './outbox-store.ts'
import type { RelayParts, RelaySettings } from './relay-options.ts'
import { TopicRoutes } from './topic-routes.ts'
import type { WakeUp } from './wake-up.ts'

const REMOVE_MAX = 5_000
const STOP_DEADLINE_MS = 5_000

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
  #acked: PendingRow[] = []
  #removing: Promise<void> | undefined

  constructor(parts: RelayTermParts, term: Term, options: RelaySettings) {
    this.#parts = parts
    this.#term = term
    this.#options = options
    this.#routes = new TopicRoutes({ ...parts, onChange: () => parts.wakeUp.wake() }, options.retryMax)
    this.#lanes = new Lanes({ ...parts, routes: this.#routes }, options, {
      onAcked: (rows) => this.#settle(rows),
      onDropped: (rows) => this.#forget(rows),
    })
  }

  /** Works until the signal aborts or the term is over. @returns why it ended */
  async serve(signal: AbortSignal): Promise<string> {
    const either = AbortSignal.any([signal, this.#ended.signal])
    const renewing = this.#renew(either).catch((error: unknown) => this.#end(messageOf(error)))
    try {
      // A read that nobody answers must not hold up the end of a term.
      await Promise.race([this.#pass(either), whenAborted(this.#ended.signal)])
    } catch (error) {
      this.#end(messageOf(error))
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
      if (room > 0) {
        const pass = this.#lanes.beginPass()
        const limit = Math.min(this.#options.passSize, room)
        const inFlight = [...this.#inFlight.keys()]
        const rows = await store.fetchPending(this.#term, { limit, inFlight, blocked: [...pass.blocked, ...this.#routes.blocked()] })
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
      if (this.#lanes.offer(row, partitions)) taken++
      else this.#inFlight.delete(row.seq)
    }
    return taken
  }

  #settle(rows: readonly PendingRow[]): void {
    for (const row of rows) this.#acked.push(row)
    this.#removing ??= this.#remove()
  }

  /** Rows that were not sent and will be read again; they are in the table. */
  #forget(rows: readonly PendingRow[]): void {
    for (const row of rows) this.#inFlight.delete(row.seq)
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
        const wasFull = this.#inFlight.size >= this.#options.inFlightMax
        // Only now: a pass that began before the delete was committed still has these rows in its list.
        this.#forget(rows)
        diagnostics.emit('relay.removed', { messages: rows.length })
        if (wasFull) wakeUp.wake()
      }
    } catch (error) {
      this.#end(messageOf(error))
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
      const inTime = await endsWithin(renewed, Math.max(0, deadline - sentAt))
      if (!inTime) return this.#end('the lease could not be renewed in time')
      if (!(await renewed)) return this.#end('another owner took the lease')
      deadline = sentAt + leaseMs
    }
  }

  async #leave(): Promise<void> {
    const { store } = this.#parts
    await this.#lanes.stop(STOP_DEADLINE_MS)
    if (this.#removing !== undefined) await endsWithin(this.#removing, STOP_DEADLINE_MS)
    this.#routes.stop()
    if (this.#ended.signal.aborted) return
    await endsWithin(
      store.release(this.#term).catch(() => undefined),
      STOP_DEADLINE_MS,
    )
    this.#end('stopped')
  }

  #end(reason: string): void {
    if (!this.#ended.signal.aborted) this.#ended.abort(reason)
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
