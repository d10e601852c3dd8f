import { z } from 'zod'
import type { Clock } from '../../foundation/clock.ts'
import { duration } from '../../foundation/duration.ts'
import { TransientError } from '../../foundation/errors.ts'
import type { Queryable } from '../database/database.ts'

export const outboxOptions = z.strictObject({
  /** Messages that may wait in the outbox, scheduled ones included, 1 000–1 000 000 000. Default 10 000 000. */
  rowsMax: z.int().min(1_000).max(1_000_000_000).default(10_000_000),
  /** Bytes of messages that may wait in the outbox. Default 10 GiB; it is an estimate, by the size of some of them. */
  bytesMax: z.int().min(1_048_576).max(1_099_511_627_776_000).default(10_737_418_240),
  /**
   * How long messages are kept in `trunkline.outbox_archive` after Kafka has acknowledged them, '1h' to '3650d', for
   * `trunkline outbox redrive --from-archive`. Whole days of UTC are dropped. Default: not at all.
   */
  archive: duration({ min: '1h', max: '3650d' }).optional(),
})
export type OutboxSettings = z.output<typeof outboxOptions>

/** How much waits, as far as anybody must know. */
export interface OutboxMeasure {
  /** Exact, or an upper bound that is within the limit. */
  readonly rows: number
  readonly bytes: number
}

/** Measures the outbox: in microseconds where it is far below its limits, by counting where it may be near them. */
export interface OutboxGauge {
  /** @param where it asks; by default outside of any transaction. @throws TransientError the database is unreachable */
  measure(limits: OutboxSettings, where?: Queryable): Promise<OutboxMeasure>
}

export interface OutboxRoomParts {
  readonly gauge: OutboxGauge
  readonly clock: Clock
}

const MEASURE_EVERY_MS = 1_000
/** Counting may take this part of the time, no more. */
const MEASURE_SHARE = 0.1

/**
 * Whether the outbox has room for another message.
 *
 * It is measured about once a second while somebody publishes; so much may be published beyond the limit. Only the
 * first messages of a process wait for the measure, each for one that is taken in its own transaction: the pool may have
 * no connection left, all of them in transactions that wait for the measure.
 */
export class OutboxRoom {
  readonly #parts: OutboxRoomParts
  readonly #limits: OutboxSettings
  #measuring = false
  #full: TransientError | undefined
  #measureAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: OutboxRoomParts, limits: OutboxSettings) {
    this.#parts = parts
    this.#limits = limits
  }

  /** Whether it was measured yet. */
  get known(): boolean {
    return this.#measureAtMs !== Number.NEGATIVE_INFINITY
  }

  /**
   * @param here the transaction of whoever asks
   * @returns `undefined` when there is room, as far as is known; a promise of it where nothing is known yet
   * @throws TransientError `OUTBOX_FULL`, also from the promise; and whatever the first measure met in `here`, which has lost it
   */
  check(here: Queryable): Promise<void> | undefined {
    if (!this.known) return this.#checkFirst(here)
    if (!this.#measuring && this.#parts.clock.monotonic() >= this.#measureAtMs) void this.#measureOutside()
    this.#refuseWhenFull()
    return undefined
  }

  /** Each measures in its own transaction: one that waited for another's could hold the lock for which that one waits. */
  async #checkFirst(here: Queryable): Promise<void> {
    await this.#measure(here)
    this.#refuseWhenFull()
  }

  #refuseWhenFull(): void {
    if (this.#full !== undefined) throw this.#full
  }

  /** Never rejects: what cannot be measured is not full, and the insert itself will tell what is wrong. */
  async #measureOutside(): Promise<void> {
    this.#measuring = true
    await this.#measure().catch(() => {
      this.#full = undefined
      this.#measureAtMs = this.#parts.clock.monotonic() + MEASURE_EVERY_MS
    })
    this.#measuring = false
  }

  async #measure(where?: Queryable): Promise<void> {
    const { gauge, clock } = this.#parts
    const beganAt = clock.monotonic()
    this.#full = overLimit(await gauge.measure(this.#limits, where), this.#limits)
    const now = clock.monotonic()
    this.#measureAtMs = now + Math.max(MEASURE_EVERY_MS, (now - beganAt) / MEASURE_SHARE)
  }
}

function overLimit({ rows, bytes }: OutboxMeasure, { rowsMax, bytesMax }: OutboxSettings): TransientError | undefined {
  if (rows < rowsMax && bytes < bytesMax) return undefined
  const what = rows >= rowsMax ? `${rowsMax} messages (outbox.rowsMax)` : `${bytesMax} bytes of messages (outbox.bytesMax)`
  const message =
    `Nothing is published: ${what} wait in the outbox already, because they do not reach Kafka. ` +
    'Look at "trunkline outbox status" and at the brokers; publishing goes on by itself when the relay has caught up.'
  return new TransientError('OUTBOX_FULL', message, { rows, bytes })
}
