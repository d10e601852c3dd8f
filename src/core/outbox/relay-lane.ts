import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf } from '../../foundation/errors.ts'
import { unpackHeaders } from '../broker/header-bytes.ts'
import type { AppendOutcome, LogProducer, LogRecord } from '../broker/log-producer.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Incident, IncidentLog } from '../incident.ts'
import { type PendingRow, sizeOf } from './outbox-store.ts'
import type { TopicRoutes } from './topic-routes.ts'
import type { WakeUp } from './wake-up.ts'

export interface LaneParts {
  readonly producer: LogProducer
  readonly routes: TopicRoutes
  readonly incidents: IncidentLog
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  readonly wakeUp: WakeUp
}

export interface LaneOptions {
  readonly batchSize: number
  readonly batchBytes: number
  readonly laneSize: number
  readonly retryMax: number
}

type Refused = Extract<AppendOutcome, { status: 'refused' }>

export interface LaneEvents {
  /** Kafka has them. */
  onAcked(rows: readonly PendingRow[]): void
  /** They were not sent; they are still in the table. */
  onDropped(rows: readonly PendingRow[]): void
  /** The lane cannot go on. */
  onFailed(error: unknown): void
}

/** One partition: its next batch leaves after the acknowledgement of the last. */
export class RelayLane {
  readonly topic: string
  readonly partition: number
  readonly partitions: number
  readonly #parts: LaneParts
  readonly #options: LaneOptions
  readonly #events: LaneEvents
  readonly #currentPass: () => number
  readonly #stopped = new AbortController()
  #queue: PendingRow[] = []
  #sending: Promise<void> | undefined
  #waitingUntil = 0
  #refusals = 0
  /** Whether an incident tells of the refusals that this lane has had since the last acknowledgement. */
  #told = false
  /** Rows of an earlier pass are not taken: they would overtake rows that this lane has left in the table. */
  #takesFromPass = 0

  constructor(
    place: { topic: string; partition: number; partitions: number },
    parts: LaneParts,
    options: LaneOptions,
    events: LaneEvents,
    currentPass: () => number,
  ) {
    this.topic = place.topic
    this.partition = place.partition
    this.partitions = place.partitions
    this.#parts = parts
    this.#options = options
    this.#events = events
    this.#currentPass = currentPass
  }

  /** Whether it takes nothing now: full, waiting after a refusal, or stopped. */
  get closed(): boolean {
    const waiting = this.#parts.clock.monotonic() < this.#waitingUntil
    return waiting || this.#stopped.signal.aborted || this.#queue.length >= this.#options.laneSize
  }

  offer(row: PendingRow): boolean {
    if (this.closed || this.#currentPass() < this.#takesFromPass) {
      this.#leaveRestInTable()
      return false
    }
    this.#queue.push(row)
    this.#sending ??= this.#send().catch((error: unknown) => this.#events.onFailed(error))
    return true
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#sending
  }

  #leaveRestInTable(): void {
    this.#takesFromPass = this.#currentPass() + 1
  }

  async #send(): Promise<void> {
    // The rows of one pass come in one go: let them gather into one batch.
    await Promise.resolve()
    while (this.#queue.length > 0 && !this.#stopped.signal.aborted) {
      const wasFull = this.#queue.length >= this.#options.laneSize
      const batch = this.#nextBatch()
      const delivered = await this.#deliver(batch)
      if (!delivered) break
      this.#events.onAcked(batch)
      if (wasFull) this.#parts.wakeUp.wake()
    }
    this.#sending = undefined
  }

  /** Sends the same batch until its fate is known. @returns whether Kafka has it */
  async #deliver(batch: readonly PendingRow[]): Promise<boolean> {
    const { producer, diagnostics, clock } = this.#parts
    const place = { topic: this.topic, partition: this.partition }
    const records = toRecords(batch)
    if (!Array.isArray(records)) {
      diagnostics.emit('relay.refused', { ...place, scope: 'record', reason: records.reason })
      await this.#refuse(batch, 'record', unreadable(this, records.row, records.reason))
      return false
    }
    for (let attempt = 1; !this.#stopped.signal.aborted; attempt++) {
      diagnostics.emit('relay.sending', { ...place, messages: batch.length })
      const outcome = await producer.append(place, records)
      switch (outcome.status) {
        case 'acked':
          diagnostics.emit('relay.acked', { ...place, messages: batch.length })
          this.#refusals = 0
          this.#told = false
          return true
        case 'unknown':
          // It may be in the log. Nothing else of this partition may go before the same batch went again.
          diagnostics.emit('relay.unknown', { ...place, reason: outcome.reason.message })
          break
        case 'refused':
          diagnostics.emit('relay.refused', { ...place, scope: outcome.scope, reason: outcome.reason.message })
          if (outcome.scope !== 'cluster') {
            await this.#refuse(batch, outcome.scope, refusal(this, batch, outcome))
            return false
          }
      }
      await clock.sleep(backoffMs(attempt, { minMs: 20, maxMs: 2_000 }), this.#stopped.signal)
    }
    return false
  }

  /** Everything of this lane goes back to the table and waits there; neighbours flow. */
  async #refuse(batch: readonly PendingRow[], scope: 'record' | 'topic', incident: Incident): Promise<void> {
    const { clock, routes } = this.#parts
    this.#refusals++
    const pauseMs = backoffMs(this.#refusals, { minMs: 500, maxMs: this.#options.retryMax })
    this.#waitingUntil = clock.monotonic() + pauseMs
    if (scope === 'topic') routes.refuse(this.topic, incident.message)
    if (!this.#told) this.#told = await this.#tell(scope, incident)
    this.#leaveRestInTable()
    this.#events.onDropped([...batch, ...this.#queue])
    this.#queue = []
    void clock.sleep(pauseMs, this.#stopped.signal).then(() => this.#parts.wakeUp.wake())
  }

  /** The lanes of a topic tell together. @returns whether it is recorded; if not, the next refusal tries again */
  async #tell(scope: 'record' | 'topic', incident: Incident): Promise<boolean> {
    const { routes, incidents } = this.#parts
    const recording = scope === 'topic' ? routes.report(incident) : incidents.record(incident)
    return recording.then(
      () => true,
      () => false,
    )
  }

  #nextBatch(): PendingRow[] {
    let bytes = 0
    let count = 0
    for (const row of this.#queue) {
      bytes += sizeOf(row)
      if (count > 0 && (count >= this.#options.batchSize || bytes > this.#options.batchBytes)) break
      count++
    }
    return this.#queue.splice(0, count)
  }
}

/** @returns the first row that cannot be read, where there is one */
function toRecords(batch: readonly PendingRow[]): LogRecord[] | { row: PendingRow; reason: string } {
  const records: LogRecord[] = []
  for (const row of batch) {
    try {
      records.push({ key: row.key, value: row.value, headers: unpackHeaders(row.headers), timestampMs: row.createdAtMs })
    } catch (error) {
      if (!isTrunklineError(error, 'HEADERS_CORRUPT')) throw error
      return { row, reason: messageOf(error) }
    }
  }
  return records
}

function refusal(lane: RelayLane, batch: readonly PendingRow[], { scope, reason }: Refused): Incident {
  const place = `${lane.topic}/${lane.partition}`
  const what = scope === 'topic' ? 'topic' : 'partition'
  return {
    kind: 'message_refused',
    subject: scope === 'topic' ? lane.topic : place,
    message: `Kafka refused a batch of ${batch.length} for ${place}: ${reason.message}. The ${what}'s messages wait in the outbox and are tried again; others flow.`,
    details: { topic: lane.topic, partition: lane.partition, firstId: batch[0]?.id ?? null, messages: batch.length },
  }
}

function unreadable(lane: RelayLane, row: PendingRow, reason: string): Incident {
  const place = `${lane.topic}/${lane.partition}`
  return {
    kind: 'message_refused',
    subject: place,
    message: `Message ${row.id} for ${place} cannot be sent: ${reason} The partition's messages wait in the outbox until then; others flow.`,
    details: { topic: lane.topic, partition: lane.partition, firstId: row.id, messages: 1 },
  }
}
