import type { Clock } from '../../foundation/clock.ts'
import { type ActParts, actByHand } from './act-by-hand.ts'
import type { FailureReference, FailureState } from './failure-store.ts'

export interface RedriveParts<Tx> extends ActParts<Tx> {
  readonly clock: Clock
}

export interface RedrivePlan {
  readonly actor: string
  readonly reason: string
  /** Messages a second at most. */
  readonly rate: number
  /** Whether to begin with one message and go on with more only while the causes stay away. */
  readonly canary: boolean
  /** How long the messages of one step may take until some process of the group has run them. */
  readonly stepMs: number
  /** Called after each step, for whoever watches. */
  readonly onStep: (progress: RedriveProgress) => void
}

export interface RedriveProgress {
  /** Put back so far, of how many. */
  readonly redriven: number
  readonly of: number
  readonly applied: number
  readonly failed: number
}

export type RedriveEnd =
  /** All were put back. */
  | 'done'
  /** A message failed for a cause that it was to be cured of; the rest was left as it was. */
  | 'the cause returned'
  /** Nobody ran a step's messages in time: perhaps no process of the group is running. */
  | 'nobody ran it'
  | 'interrupted'

export interface RedriveReport {
  readonly end: RedriveEnd
  readonly selected: number
  readonly redriven: number
  /** Of those that were put back: gone because they were applied. */
  readonly applied: number
  /** Failed again, for whatever cause. */
  readonly failed: readonly FailureState[]
  /** Not run yet when the report was made. */
  readonly waiting: number
  /** Settled by somebody else before their turn came. */
  readonly gone: number
}

const steps = [1, 2, 5, 10, 20, 50, 100] as const
const LOOK_EVERY_MS = 100

/**
 * Puts dead letters back, in the failing group only, each at its old place in its key's queue.
 *
 * As a canary it begins with one message, then 2, 5, 10, … up to 100, and waits for each step until its messages were
 * applied or failed. When one fails again for the cause that it, or another of the selection, had failed for, it stops
 * there: what was not put back stays as it is.
 *
 * @param selection in the order in which it is to be put back
 * @throws TransientError the database is unreachable; what was put back stays put back, and is in the audit
 */
export async function redrive<Tx>(
  parts: RedriveParts<Tx>,
  selection: readonly FailureReference[],
  plan: RedrivePlan,
  signal: AbortSignal,
): Promise<RedriveReport> {
  const run = new Redrive(parts, plan, selection.length, signal)
  let end: RedriveEnd = 'done'
  for (let at = 0, step = 0; at < selection.length && end === 'done'; step++) {
    const size = plan.canary ? (steps[step] ?? 100) : selection.length
    const some = selection.slice(at, at + size)
    end = await run.step(some)
    at += some.length
  }
  return await run.report(end)
}

class Redrive<Tx> {
  readonly #parts: RedriveParts<Tx>
  readonly #plan: RedrivePlan
  readonly #of: number
  readonly #signal: AbortSignal
  readonly #redriven: FailureReference[] = []
  /** What the selected messages had failed for. */
  readonly #causes = new Set<string>()
  #gone = 0
  #nextAt: number

  constructor(parts: RedriveParts<Tx>, plan: RedrivePlan, of: number, signal: AbortSignal) {
    this.#parts = parts
    this.#plan = plan
    this.#of = of
    this.#signal = signal
    this.#nextAt = parts.clock.monotonic()
  }

  async step(some: readonly FailureReference[]): Promise<RedriveEnd> {
    const put: FailureReference[] = []
    for (const each of some) {
      await this.#keepRate()
      if (this.#signal.aborted) return 'interrupted'
      if (await this.#putBack(each)) put.push(each)
      else this.#gone++
    }
    this.#redriven.push(...put)
    return this.#plan.canary ? await this.#watch(put) : 'done'
  }

  async report(end: RedriveEnd): Promise<RedriveReport> {
    const { kept, failed, waiting } = await this.#look(this.#redriven)
    const redriven = this.#redriven.length
    return { end, selected: this.#of, redriven, applied: redriven - kept, failed, waiting, gone: this.#gone }
  }

  async #putBack(failure: FailureReference): Promise<boolean> {
    const { actor, reason } = this.#plan
    const before = await actByHand(this.#parts, failure, { verb: 'redrive', actor, reason })
    if (before?.fingerprint != null) this.#causes.add(before.fingerprint)
    return before !== undefined
  }

  /** Waits until every message of a step was applied, or has failed. */
  async #watch(put: readonly FailureReference[]): Promise<RedriveEnd> {
    const { clock } = this.#parts
    const deadline = clock.monotonic() + this.#plan.stepMs
    while (true) {
      const { failed, waiting } = await this.#look(put)
      if (failed.some(({ fingerprint }) => fingerprint !== null && this.#causes.has(fingerprint))) return 'the cause returned'
      if (waiting === 0) break
      if (this.#signal.aborted) return 'interrupted'
      if (clock.monotonic() > deadline) return 'nobody ran it'
      await clock.sleep(LOOK_EVERY_MS, this.#signal)
    }
    const all = await this.#look(this.#redriven)
    const redriven = this.#redriven.length
    this.#plan.onStep({ redriven, of: this.#of, applied: redriven - all.kept, failed: all.failed.length })
    return 'done'
  }

  async #look(put: readonly FailureReference[]): Promise<{ kept: number; failed: readonly FailureState[]; waiting: number }> {
    const states = await this.#parts.failures.look(put)
    const failed = states.filter(({ state, attempts }) => attempts > 0 || state !== 'waiting')
    return { kept: states.length, failed, waiting: states.length - failed.length }
  }

  async #keepRate(): Promise<void> {
    const { clock } = this.#parts
    const pauseMs = this.#nextAt - clock.monotonic()
    if (pauseMs > 0) await clock.sleep(pauseMs, this.#signal)
    this.#nextAt = Math.max(this.#nextAt, clock.monotonic()) + 1_000 / this.#plan.rate
  }
}
