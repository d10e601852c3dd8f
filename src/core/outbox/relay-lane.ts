import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import type { LogProducer } from '../broker/log-producer.ts'
import { checkStoredHeaders } from '../broker/stored-record.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import { Deferral } from './deferral.ts'
import type { HeldKeys } from './held-keys.ts'
import type { PendingRow } from './outbox-store.ts'

export interface LaneParts {
  readonly producer: LogProducer
  readonly held: HeldKeys
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

export interface LaneOptions {
  readonly batchSize: number
  readonly batchBytes: number
  readonly laneSize: number
}

export interface LaneEvents {
  /** Kafka has them. */
  onAcked(rows: readonly PendingRow[]): void
  /** They were not sent; they are still in the table. */
  onLeft(rows: readonly PendingRow[]): void
  /** The topic as a whole is refused; it waits. */
  onTopicRefused(topic: string, reason: TrunklineError): void
  /** Kafka does not take this row, alone. @returns whether its key is held now; if not, its topic waits */
  onRowRefused(row: PendingRow, reason: TrunklineError): boolean
  /** It takes rows again, and some were left in the table. */
  onRoom(): void
  /** The lane cannot go on. */
  onFailed(error: unknown): void
}

/** One partition: its next batch leaves after the acknowledgement of the last. */
export class RelayLane {
  readonly topic: string
  readonly partition: number
  readonly partitions: number
  readonly deferral = new Deferral()
  readonly #parts: LaneParts
  readonly #options: LaneOptions
  readonly #events: LaneEvents
  readonly #stopped = new AbortController()
  #queue: PendingRow[] = []
  #sending: Promise<void> | undefined

  constructor(place: { topic: string; partition: number; partitions: number }, parts: LaneParts, options: LaneOptions, events: LaneEvents) {
    this.topic = place.topic
    this.partition = place.partition
    this.partitions = place.partitions
    this.#parts = parts
    this.#options = options
    this.#events = events
  }

  /** Whether it takes a row now. */
  get open(): boolean {
    return !this.#stopped.signal.aborted && this.#queue.length < this.#options.laneSize
  }

  /** Whether it is worth a read of what it left in the table: not for every row that leaves. */
  get hungry(): boolean {
    return !this.#stopped.signal.aborted && this.#queue.length * 2 <= this.#options.laneSize
  }

  /** @returns whether the lane took the row; if not, it stays in the table */
  offer(row: PendingRow): boolean {
    if (this.deferral.from !== undefined || !this.open) {
      this.deferral.leave(row.seq)
      return false
    }
    this.#queue.push(row)
    this.#sending ??= this.#run().catch((error: unknown) => this.#events.onFailed(error))
    return true
  }

  /** Sends no new batch, and waits for the one on its way. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#sending
  }

  async #run(): Promise<void> {
    // The rows of one pass come in one go: let them gather into one batch.
    await Promise.resolve()
    while (this.#queue.length > 0 && !this.#stopped.signal.aborted) {
      const settled = await this.#settle(this.#nextBatch())
      if (!settled) break
      if (this.deferral.from !== undefined && this.hungry) this.#events.onRoom()
    }
    if (this.#queue.length > 0) this.#leave(this.#queue.splice(0))
    this.#sending = undefined
  }

  /** Sends rows until the fate of each is known. @returns whether the lane may go on; if not, what is left of them is back in the table */
  async #settle(batch: PendingRow[]): Promise<boolean> {
    const rest = this.#readable(batch)
    if (!(await this.#send(batch))) {
      this.#leave(rest)
      return false
    }
    this.#leave(rest)
    return rest.length === 0
  }

  async #send(rows: readonly PendingRow[]): Promise<boolean> {
    if (rows.length === 0) return true
    const refusal = await this.#append(rows)
    if (refusal === undefined) {
      this.#events.onAcked(rows)
      return true
    }
    if (refusal.scope === 'record') return await this.#settleRefused(rows, refusal.reason)
    if (refusal.scope === 'topic') this.#events.onTopicRefused(this.topic, refusal.reason)
    this.#leave(rows)
    return false
  }

  /** Kafka refuses a batch as a whole: by halves it is found out which row is meant. The left half is decided before the right. */
  async #settleRefused(rows: readonly PendingRow[], reason: TrunklineError): Promise<boolean> {
    const [row] = rows
    if (row === undefined) return true
    if (rows.length === 1) return this.#refuse(row, reason)
    const middle = rows.length >> 1
    const right = rows.slice(middle)
    if (await this.#settle(rows.slice(0, middle))) return await this.#settle(right)
    this.#leave(right)
    return false
  }

  #refuse(row: PendingRow, reason: TrunklineError): boolean {
    if (!this.#events.onRowRefused(row, reason)) {
      this.#leave([row])
      return false
    }
    this.#events.onLeft([row])
    return true
  }

  /**
   * Appends one batch until its fate is known.
   *
   * @returns `undefined` when Kafka has it; otherwise who refused it. A lane that was stopped gives up as if the cluster had refused it
   */
  async #append(rows: readonly PendingRow[]): Promise<{ scope: 'record' | 'topic' | 'stopped'; reason: TrunklineError } | undefined> {
    const { producer, diagnostics, clock } = this.#parts
    const place = { topic: this.topic, partition: this.partition }
    for (let attempt = 1; !this.#stopped.signal.aborted; attempt++) {
      diagnostics.emit('relay.sending', { ...place, messages: rows.length })
      const outcome = await producer.append(place, rows)
      switch (outcome.status) {
        case 'acked':
          diagnostics.emit('relay.acked', { ...place, messages: rows.length })
          return undefined
        case 'unknown':
          // It may be in the log. Nothing else of this partition may go before the same batch went again.
          diagnostics.emit('relay.unknown', { ...place, reason: outcome.reason.message })
          break
        case 'refused':
          diagnostics.emit('relay.refused', { ...place, scope: outcome.scope, reason: outcome.reason.message })
          if (outcome.scope !== 'cluster') return { scope: outcome.scope, reason: outcome.reason }
      }
      await clock.sleep(backoffMs(attempt, { minMs: 20, maxMs: 2_000 }), this.#stopped.signal)
    }
    return { scope: 'stopped', reason: new TransientError('STOPPED', 'The relay was stopped; what it was about to send is in the outbox.') }
  }

  /**
   * What can be sent of a batch, whose list is shortened to that. Rows of held keys wait in the table; a row that cannot be read holds its key.
   *
   * @returns the rows from the first one on that must wait and could not be held
   */
  #readable(batch: PendingRow[]): readonly PendingRow[] {
    let rest: readonly PendingRow[] = []
    let count = 0
    for (const [index, row] of batch.entries()) {
      if (!this.#parts.held.has(row) && this.#isReadable(row)) batch[count++] = row
      else if (this.#parts.held.has(row)) this.#events.onLeft([row])
      else {
        rest = batch.slice(index)
        break
      }
    }
    batch.length = count
    return rest
  }

  /** A row that cannot be read would fail its whole batch later. Its key is held by that, or its topic waits. */
  #isReadable(row: PendingRow): boolean {
    try {
      if (row.stored !== undefined) checkStoredHeaders(row.stored)
      return true
    } catch (error) {
      if (!isTrunklineError(error, 'HEADERS_CORRUPT')) throw error
      const place = { topic: this.topic, partition: this.partition }
      this.#parts.diagnostics.emit('relay.refused', { ...place, scope: 'record', reason: error.message })
      this.#events.onRowRefused(row, error)
      return false
    }
  }

  /** They wait in the table, and the lane takes none above them until they were read again. */
  #leave(rows: readonly PendingRow[]): void {
    for (const { seq } of rows) this.deferral.leave(seq)
    this.#events.onLeft(rows)
  }

  #nextBatch(): PendingRow[] {
    let bytes = 0
    let count = 0
    for (const row of this.#queue) {
      bytes += row.size
      if (count > 0 && (count >= this.#options.batchSize || bytes > this.#options.batchBytes)) break
      count++
    }
    return this.#queue.splice(0, count)
  }
}
