import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError, messageOf } from '../../foundation/errors.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Episodes } from './episodes.ts'
import type { HeldKeys } from './held-keys.ts'
import type { InFlight } from './in-flight.ts'
import type { Lanes } from './lanes.ts'
import { lowest } from './lowest.ts'
import type { OutboxStore, PendingRow, Term } from './outbox-store.ts'
import type { SettledMark } from './settled-mark.ts'
import { Stride } from './stride.ts'
import { unlessAborted } from './unless-aborted.ts'
import { WakeUp } from './wake-up.ts'
import { ROOM_AGAIN } from './when-there-is-room.ts'

const LOOK_EVERY_MS = 1_000
const MOVE_MAX = 1_000
const SWEEP_EVERY_MS = 10_000
/** A sweep walks over whatever is not vacuumed: it may take this part of the time, no more … */
const SWEEP_SHARE = 0.005
/** … and so much of it in one go, for passes and the renewal of the lease wait behind it. */
const SWEEP_STEP_MS = 100
/** The archive has room for two days ahead. */
const TEND_EVERY_MS = 3_600_000
const TEND_AGAIN_MS = 60_000

export interface UpkeepParts {
  readonly store: OutboxStore
  readonly held: HeldKeys
  readonly lanes: Lanes
  readonly mark: SettledMark
  readonly inFlight: InFlight
  readonly episodes: Episodes
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  readonly wakeUp: WakeUp
}

export interface UpkeepEvents {
  onOver(): void
  onFailed(error: unknown): void
}

/** What an owner does beside its passes: messages that are due, incidents that could not be told, and the sweep. */
export class Upkeep {
  readonly #parts: UpkeepParts
  readonly #term: Term
  readonly #events: UpkeepEvents
  readonly #sweepStride = new Stride(SWEEP_STEP_MS, 'longest')
  #sweepAtMs: number
  #sweptTo = 0n
  #tendAtMs = Number.NEGATIVE_INFINITY
  #withoutRoom = 0
  /** Before that nothing is due, as far as a look saw … */
  #dueAtMs = Number.NEGATIVE_INFINITY
  /** … and here the database may have room again. */
  #roomAtMs = Number.NEGATIVE_INFINITY
  readonly #bell = new WakeUp()

  constructor(parts: UpkeepParts, term: Term, events: UpkeepEvents) {
    this.#parts = parts
    this.#term = term
    this.#events = events
    this.#sweepAtMs = parts.clock.monotonic() + SWEEP_EVERY_MS
  }

  /** No row up to this number is left in the table. */
  get floor(): bigint {
    const { mark, inFlight, lanes, held } = this.#parts
    const left = lowest([inFlight.lowest, lanes.lowestLeft, held.lowest])
    return left === undefined || left > mark.hard ? mark.hard : left - 1n
  }

  async run(signal: AbortSignal): Promise<void> {
    // A question that nobody answers must not hold up the end of the term.
    while (!signal.aborted) await unlessAborted(this.#round(signal), signal)
  }

  /**
   * A resting owner's look saw when the next message for later is due: until then nobody need ask, and what else there is
   * to do is done in the same awakening. Each awakening of an idle process costs as much as ten of a busy one.
   */
  looked(dueInMs: number | undefined): void {
    const { clock, episodes } = this.#parts
    const nowMs = clock.monotonic()
    const nextInMs = Math.min(dueInMs ?? LOOK_EVERY_MS, LOOK_EVERY_MS)
    this.#dueAtMs = nowMs + nextInMs
    if (nextInMs < LOOK_EVERY_MS || nowMs >= this.#sweepAtMs || nowMs >= this.#tendAtMs || episodes.hasRest) this.#bell.wake()
    else this.#bell.putOff()
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { clock, episodes } = this.#parts
    const nextInMs = await this.#moveDue()
    if (nextInMs === undefined) return this.#events.onOver()
    if (clock.monotonic() >= this.#sweepAtMs) await this.#sweep()
    if (clock.monotonic() >= this.#tendAtMs) await this.#tendArchive()
    await episodes.tellRest().catch(() => undefined)
    await this.#bell.wait(Math.min(LOOK_EVERY_MS, nextInMs), signal)
  }

  /** Where it fails nothing is lost and nothing stops: what is archived waits in a partition for the rest. */
  async #tendArchive(): Promise<void> {
    const { store, clock, episodes } = this.#parts
    this.#tendAtMs = clock.monotonic() + TEND_EVERY_MS
    try {
      await store.tendArchive()
      episodes.end('outbox archive')
    } catch (error) {
      this.#tendAtMs = clock.monotonic() + TEND_AGAIN_MS
      episodes.note({
        kind: 'archive_untended',
        subject: 'outbox archive',
        message: `The archive of the outbox got no partition for the days to come, or old ones were not dropped (${messageOf(error)}). It is tried again every minute; the relay's user needs execute on trunkline.tend_outbox_archive.`,
        details: {},
      })
    }
  }

  /**
   * Without room for what is due it waits, and nothing else waits with it.
   *
   * @returns when to look again; `undefined` when the term is over
   */
  async #moveDue(): Promise<number | undefined> {
    const { store, clock, wakeUp, diagnostics } = this.#parts
    const waitMs = Math.max(this.#dueAtMs, this.#roomAtMs) - clock.monotonic()
    if (waitMs > 0) return waitMs
    try {
      const due = await store.moveDue(this.#term, MOVE_MAX)
      if (due === undefined) return undefined
      this.#withoutRoom = 0
      if (due.moved > 0) {
        diagnostics.emit('relay.due', { messages: due.moved })
        wakeUp.wake()
      }
      return Math.max(0, due.nextInMs ?? LOOK_EVERY_MS)
    } catch (error) {
      if (!isTrunklineError(error, 'DATABASE_FULL')) throw error
      diagnostics.emit('relay.no_room', { reason: error.message })
      const againMs = backoffMs(++this.#withoutRoom, ROOM_AGAIN)
      this.#roomAtMs = clock.monotonic() + againMs
      return againMs
    }
  }

  /**
   * Looks whether a row below the mark was overlooked. There is none, unless there is a bug: so it is an alarm, and
   * reading begins again at the lowest row. Where much is not vacuumed, one sweep takes many rounds.
   */
  async #sweep(): Promise<void> {
    const { clock, mark, episodes, wakeUp } = this.#parts
    const beganAt = clock.monotonic()
    let tookMs = 0
    for (let more = true; more && tookMs < SWEEP_STEP_MS; tookMs = clock.monotonic() - beganAt) {
      const row = await this.#sweepStep()
      if (row === undefined) episodes.end('outbox', 'row_overlooked')
      else {
        mark.reset()
        wakeUp.wake()
        this.#tell(row)
        row.release()
      }
      more = row === undefined && this.#sweptTo > 0n
    }
    const pauseMs = Math.max(this.#sweptTo > 0n ? LOOK_EVERY_MS : SWEEP_EVERY_MS, tookMs / SWEEP_SHARE)
    this.#sweepAtMs = clock.monotonic() + pauseMs
  }

  /** @returns what was overlooked; the place where the next step begins is 0 when the sweep is done */
  async #sweepStep(): Promise<PendingRow | undefined> {
    const { store, clock, mark, inFlight, lanes, held } = this.#parts
    const upTo = lowest([this.#sweptTo + this.#sweepStride.length, mark.hard]) ?? mark.hard
    const beganAt = clock.monotonic()
    try {
      const result = await store.fetchPending(this.#term, {
        after: this.#sweptTo,
        upTo,
        withinMs: SWEEP_STEP_MS,
        limit: 1,
        bytesMax: 1,
        inFlight: [...inFlight.above(this.#sweptTo), ...held.rowsAbove(this.#sweptTo)],
        only: undefined,
        without: lanes.behind(),
        held: held.keys(),
        assumedRunning: [],
        namesRunningBelow: undefined,
      })
      if (result === undefined) {
        this.#events.onOver()
        return undefined
      }
      this.#sweepStride.took(clock.monotonic() - beganAt, 0)
      this.#sweptTo = upTo < mark.hard && result.rows.length === 0 ? upTo : 0n
      return result.rows[0]
    } catch (error) {
      if (!isTrunklineError(error, 'STATEMENT_TOO_SLOW')) throw error
      this.#sweepStride.tooLong(upTo - this.#sweptTo)
      return undefined
    }
  }

  #tell({ id, topic, seq }: PendingRow): void {
    this.#parts.diagnostics.emit('relay.overlooked', { id, topic })
    this.#parts.episodes.note({
      kind: 'row_overlooked',
      subject: 'outbox',
      message: `Message ${id} for topic "${topic}" stood below the relay's mark, unsent. It is sent now, perhaps after later messages of its key. This should not happen: report it with the server's log.`,
      details: { id, topic, seq: String(seq) },
    })
  }
}
