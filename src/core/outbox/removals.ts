import type { Clock } from '../../foundation/clock.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { OutboxStore, PendingRow, Term } from './outbox-store.ts'
import { whenThereIsRoom } from './when-there-is-room.ts'

/** Rows of one statement. */
const REMOVE_MAX = 5_000
/** So many need not wait for company. */
const REMOVE_AT = 2_000
const REMOVE_WITHIN_MS = 25

export interface RemovalsParts {
  readonly store: OutboxStore
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

export interface RemovalEvents {
  /** A delete is about to leave: what is read before it, its transaction comes after. */
  onRemoving(): void
  /** They are gone. */
  onRemoved(rows: readonly PendingRow[], transactionId: bigint): void
  /** The term is over. */
  onOver(): void
  onFailed(error: unknown): void
}

/** Deletes what Kafka acknowledged, many rows at a time. A crash before it means that they are sent again, never that one is lost. */
export class Removals {
  readonly #parts: RemovalsParts
  readonly #term: Term
  readonly #events: RemovalEvents
  #hurry = false
  #acked: PendingRow[] = []
  /** Ends the wait for company. */
  #enough: () => void = () => undefined
  #removing: Promise<void> | undefined

  constructor(parts: RemovalsParts, term: Term, events: RemovalEvents) {
    this.#parts = parts
    this.#term = term
    this.#events = events
  }

  get idle(): boolean {
    return this.#removing === undefined
  }

  add(rows: readonly PendingRow[]): void {
    for (const row of rows) this.#acked.push(row)
    if (this.#acked.length >= REMOVE_AT) this.#enough()
    this.#removing ??= this.#remove().catch((error: unknown) => this.#events.onFailed(error))
  }

  /** Resolves when everything that was added is gone, or the term is over. Nobody waits for company any more. */
  async finish(): Promise<void> {
    this.#hurry = true
    this.#enough()
    await this.#removing
  }

  async #remove(): Promise<void> {
    const { store, diagnostics } = this.#parts
    while (this.#acked.length > 0) {
      await this.#gather()
      const rows = this.#acked.splice(0, REMOVE_MAX)
      diagnostics.emit('relay.removing', { messages: rows.length })
      const transactionId = await whenThereIsRoom(this.#parts, () => {
        this.#events.onRemoving()
        return store.remove(this.#term, rows)
      })
      if (transactionId === undefined) return this.#events.onOver()
      const slowestMs = this.#slowestMs(rows)
      this.#events.onRemoved(rows, transactionId)
      diagnostics.emit('relay.removed', { messages: rows.length, slowestMs })
    }
    this.#removing = undefined
  }

  /** By the clock of the database at its beginning and by ours at its end: they may differ, but not by less than nothing. */
  #slowestMs(rows: readonly PendingRow[]): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const { timestampMs } of rows) if (timestampMs < oldest) oldest = timestampMs
    return Math.max(0, this.#parts.clock.now() - oldest)
  }

  #gather(): Promise<void> {
    if (this.#acked.length >= REMOVE_AT || this.#hurry) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, REMOVE_WITHIN_MS)
      this.#enough = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
