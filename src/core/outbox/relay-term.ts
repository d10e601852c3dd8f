import { isTrunklineError, messageOf } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { Episodes } from './episodes.ts'
import { HeldKeys } from './held-keys.ts'
import { Holding } from './holding.ts'
import { InFlight } from './in-flight.ts'
import { Lanes } from './lanes.ts'
import type { LookPace } from './look-pace.ts'
import type { OutboxStore, Pass, PassResult, Section, Term } from './outbox-store.ts'
import { readTo, releaseAll } from './pass-result.ts'
import type { RelayParts, RelaySettings } from './relay-options.ts'
import { RelayReport } from './relay-report.ts'
import { RelayTally } from './relay-tally.ts'
import { Removals } from './removals.ts'
import { Renewal } from './renewal.ts'
import { SettledMark } from './settled-mark.ts'
import { Stride } from './stride.ts'
import { TopicRoutes } from './topic-routes.ts'
import { unlessAborted } from './unless-aborted.ts'
import { Upkeep } from './upkeep.ts'
import type { WakeUp } from './wake-up.ts'

const STOP_DEADLINE_MS = 5_000
const RELEASE_MS = 1_000
/** One read may take this part of the lease: a renewal waits behind it, and perhaps behind a step of the sweep. */
const READ_SHARE = 0.2

export interface RelayTermParts extends RelayParts {
  readonly store: OutboxStore
  readonly episodes: Episodes
  readonly pace: LookPace
  readonly wakeUp: WakeUp
}

/** One term in office: everything it remembers is forgotten when it ends, and the next starts from the lowest row. */
export class RelayTerm {
  readonly #parts: RelayTermParts
  readonly #term: Term
  readonly #options: RelaySettings
  readonly #ended = new AbortController()
  readonly #mark = new SettledMark()
  readonly #held = new HeldKeys()
  readonly #inFlight = new InFlight()
  readonly #routes: TopicRoutes
  readonly #lanes: Lanes
  readonly #removals: Removals
  readonly #holding: Holding
  readonly #upkeep: Upkeep
  readonly #renewal: Renewal
  readonly #tally = new RelayTally()
  readonly #report: RelayReport
  /** The last number anybody had taken when the last pass looked. */
  #lastNumber = 0n
  #numberBeforeRemoval = 0n
  readonly #stride: Stride
  readonly #catchUpStride: Stride
  readonly #readWithinMs: number
  /** Whether something woke us for this look; the first needs nobody. */
  #woken = true
  #failure: unknown

  constructor(parts: RelayTermParts, term: Term, options: RelaySettings) {
    this.#parts = parts
    this.#term = term
    this.#options = options
    this.#readWithinMs = options.lease * READ_SHARE
    this.#stride = new Stride(this.#readWithinMs)
    this.#catchUpStride = new Stride(this.#readWithinMs)
    const onOver = (): void => this.#end('another owner took the lease')
    const onFailed = (error: unknown): void => this.#fail(error)
    this.#routes = new TopicRoutes(
      {
        ...parts,
        storedPartitions: (topic, actual) => this.#storedPartitions(topic, actual),
        onChange: () => parts.wakeUp.wake(),
        onRehashed: (topic) => this.#end(`the partition count of topic "${topic}" was changed`),
      },
      options.retryMax,
    )
    this.#lanes = new Lanes({ ...parts, routes: this.#routes, held: this.#held, inFlight: this.#inFlight }, options, {
      onAcked: (rows) => {
        if (rows[0] !== undefined) this.#routes.accepted(rows[0].topic)
        this.#tally.acked(rows, parts.clock.now())
        this.#removals.add(rows)
      },
      onLeft: (rows) => this.#inFlight.forget(rows),
      onTopicRefused: (topic, reason) => this.#holding.refuseTopic(topic, reason),
      onRowRefused: (row, reason) => this.#holding.refuseRow(row, reason),
      onRoom: () => parts.wakeUp.wake(),
      onFailed,
    })
    this.#removals = new Removals(parts, term, {
      onRemoving: () => {
        this.#numberBeforeRemoval = this.#lastNumber
      },
      onRemoved: (rows, transactionId) => this.#onRemoved(rows, transactionId),
      onOver,
      onFailed,
    })
    this.#holding = new Holding(
      { ...parts, held: this.#held, routes: this.#routes, lanes: this.#lanes, mark: this.#mark, inFlight: this.#inFlight },
      term,
      options,
      { onOver, onFailed },
    )
    this.#upkeep = new Upkeep({ ...parts, held: this.#held, lanes: this.#lanes, mark: this.#mark, inFlight: this.#inFlight }, term, {
      onOver,
      onFailed,
    })
    this.#renewal = new Renewal(parts, term, options.lease, { floor: () => this.#upkeep.floor, onOver: (reason) => this.#end(reason) })
    this.#report = new RelayReport({ ...parts, held: this.#held, mark: this.#mark, tally: this.#tally }, term, options.report)
  }

  /** What ended the term, where that was an error; then the next term should not begin at once. */
  get failure(): unknown {
    return this.#failure
  }

  /** Works until the signal aborts or the term is over. @returns why it ended */
  async serve(signal: AbortSignal): Promise<string> {
    const either = AbortSignal.any([signal, this.#ended.signal])
    const aside = [
      this.#renewal.run(either),
      this.#upkeep.run(either),
      this.#routes.watch(this.#options.topicCheck, either),
      this.#report.run(either, () => ({ floor: this.#upkeep.floor, last: this.#lastNumber })),
    ].map((work) => work.catch((error: unknown) => this.#fail(error)))
    try {
      // A read that nobody answers must hold up neither the end of a term nor the stop.
      await unlessAborted(this.#work(either), either)
    } catch (error) {
      this.#fail(error)
    }
    await this.#leave()
    await Promise.all(aside)
    return this.#ended.signal.aborted ? String(this.#ended.signal.reason) : 'stopped'
  }

  async #work(signal: AbortSignal): Promise<void> {
    await this.#holding.load()
    const { wakeUp, pace, clock } = this.#parts
    while (!signal.aborted) {
      await this.#holding.answerRequests()
      const went = await this.#readOn(signal)
      const caughtUp = await this.#catchUp(signal)
      if (!went && !caughtUp) {
        const pauseMs = Math.min(pace.next(clock.monotonic()), this.#holding.looksWithinMs)
        this.#woken = await wakeUp.wait(pauseMs, signal)
      }
      if (went || caughtUp || this.#woken) pace.begin(clock.monotonic())
    }
  }

  /** A pass above the mark, for every lane that takes rows. @returns whether there is more to read at once */
  async #readOn(signal: AbortSignal): Promise<boolean> {
    if (!this.#hasRoom || (this.#parts.pace.rests && (await this.#seesNoNews()))) return false
    const before = this.#mark.at
    const upTo = before + this.#stride.length
    const result = await this.#read(this.#stride, before, undefined, this.#lanes.closed(before))
    if (result === undefined) return false
    // What it takes for decided is not: rows below the mark will come.
    if (result.lastNumber < this.#lastNumber) this.#end('the last number became smaller: the database was restored')
    if (signal.aborted || !this.#mark.accepts(result)) {
      releaseAll(result)
      return !signal.aborted
    }
    this.#lastNumber = result.lastNumber
    this.#mark.move(result, before, readTo(result, upTo))
    this.#take(result)
    await this.#noteNumber()
    return result.limited || (this.#mark.at > before && upTo < result.lastNumber)
  }

  /** Where everything was read and decided, a resting owner needs no pass: without a new number there is no new row. */
  async #seesNoNews(): Promise<boolean> {
    if (this.#mark.hard !== this.#lastNumber) return false
    this.#renewal.looks()
    try {
      const look = await this.#parts.store.look(this.#term, this.#readWithinMs)
      if (look === undefined) this.#end('another owner took the lease')
      else this.#upkeep.looked(look.dueInMs)
      return look === undefined || look.lastNumber === this.#lastNumber
    } catch (error) {
      if (!isTrunklineError(error, 'STATEMENT_TOO_SLOW')) throw error
      return false
    }
  }

  /** A pass for lanes and topics that left rows in the table and take them now. @returns whether there was something to catch up with */
  async #catchUp(signal: AbortSignal): Promise<boolean> {
    if (!this.#hasRoom) return false
    const behind = this.#lanes.catchUp()
    if (behind === undefined) return false
    // Not above the mark: a row that was undecided may have come in below those that were left.
    const after = min(behind.from - 1n, this.#mark.at)
    const upTo = after + this.#catchUpStride.length
    const result = await this.#read(this.#catchUpStride, after, behind.only, behind.without)
    if (result === undefined || signal.aborted || !this.#mark.accepts(result)) {
      behind.giveUp()
      releaseAll(result)
      return result !== undefined
    }
    const to = readTo(result, upTo)
    this.#take(result)
    behind.done(to < result.lastNumber ? to : undefined)
    return true
  }

  /** @returns `undefined` when the term is over, or the step was too long: the next one is shorter */
  async #read(
    stride: Stride,
    after: bigint,
    only: readonly Section[] | undefined,
    without: readonly Section[],
  ): Promise<PassResult | undefined> {
    const { store, clock } = this.#parts
    const pass: Pass = {
      after,
      upTo: after + stride.length,
      withinMs: this.#readWithinMs,
      limit: Math.min(this.#options.passSize, this.#options.inFlightMax - this.#inFlight.size),
      bytesMax: this.#options.inFlightBytes - this.#inFlight.bytes,
      inFlight: [...this.#inFlight.above(after), ...this.#held.rowsAbove(after)],
      only,
      without,
      held: this.#held.keys(),
      assumedRunning: this.#mark.assumedRunning,
      namesRunningBelow: this.#mark.namesRunningBelow(clock.monotonic()),
    }
    const beganAt = clock.monotonic()
    try {
      const result = await store.fetchPending(this.#term, pass)
      if (result === undefined) this.#end('another owner took the lease')
      else stride.took(clock.monotonic() - beganAt, result.rows.length)
      return result
    } catch (error) {
      if (!isTrunklineError(error, 'STATEMENT_TOO_SLOW')) throw error
      stride.tooLong()
      return undefined
    }
  }

  #take({ rows }: PassResult): void {
    this.#lanes.take(rows)
    if (rows.length > 0 && !this.#woken && !this.#parts.wakeUp.hasRung) this.#parts.pace.foundUncalled(this.#parts.clock.monotonic())
    if (rows.length > 0) this.#parts.diagnostics.emit('relay.pass', { rows: rows.length, inFlight: this.#inFlight.size })
  }

  /** Without deletes, whose transactions serve as well, the mark needs one of its own to settle the numbers that were taken. */
  async #noteNumber(): Promise<void> {
    if (this.#lastNumber <= this.#mark.noted || !this.#removals.idle) return
    const number = this.#lastNumber
    this.#mark.note(number, await this.#parts.store.newTransactionId(), this.#parts.clock.monotonic())
  }

  #onRemoved(rows: Parameters<InFlight['forget']>[0], transactionId: bigint): void {
    const wasFull = !this.#hasRoom
    // Only now: a pass that began before the delete was committed still has these rows in its list.
    this.#inFlight.forget(rows)
    this.#mark.note(this.#numberBeforeRemoval, transactionId, this.#parts.clock.monotonic())
    if (wasFull) this.#parts.wakeUp.wake()
  }

  get #hasRoom(): boolean {
    return this.#inFlight.size < this.#options.inFlightMax && this.#inFlight.bytes < this.#options.inFlightBytes
  }

  async #storedPartitions(topic: string, actual: number): Promise<number> {
    const stored = await this.#parts.store.partitionsOf(this.#term, topic, actual)
    if (stored !== undefined) return stored
    this.#end('another owner took the lease')
    return actual
  }

  async #leave(): Promise<void> {
    const { store, clock } = this.#parts
    const deadline = clock.monotonic() + STOP_DEADLINE_MS
    const left = (): number => Math.max(0, deadline - clock.monotonic())
    await this.#lanes.stop(left())
    await endsWithin(this.#removals.finish(), left())
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

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
