import { backoffMs } from '../../foundation/backoff.ts'
import { errorName, isTrunklineError } from '../../foundation/errors.ts'
import { failureName, reasonOf } from '../failures/reason.ts'
import { applyBatch } from './batch.ts'
import { type EffectParts, type HeldPartition, placeOf } from './effect.ts'
import { keptForms } from './kept-form.ts'
import { type BatchRecord, isMessage, type MessageRecord } from './lanes.ts'
import { fateAfter } from './policies/fate.ts'
import { isCharged, type Reaction, reactionTo } from './retry.ts'
import type { Failure } from './set-aside.ts'
import { trace } from './trace.ts'
import { type BeginMark, newTrial, type Thrown, type Trial } from './trial.ts'

/** Reruns after a conflict before a batch is halved, and before a message alone has failed. */
const BATCH_CONFLICTS_MAX = 5
const CONFLICTS_MAX = 20
/** Batches after a failure that run in segments: handlers that fail come in bursts. */
const CAUTION = 50

export interface SettleParts<Tx extends object> extends EffectParts<Tx> {}

/**
 * Settles a batch, or its beginning: applies each message once, and keeps what cannot be applied, whose key then waits.
 *
 * The batch is tried whole. When a handler throws, its lane is set aside and the rest runs again; what failed and is
 * nobody's (an error at COMMIT) is found by halving. So a bad message costs its neighbours a rerun, never their effect.
 *
 * @returns how it went; the records from `held.next` on are still to be settled
 * @throws ConflictError `POSITION_FENCED` nothing was changed
 * @throws TransientError the infrastructure failed, not a message; nothing was changed and no attempt is spent
 */
export async function settleBatch<Tx extends object>(
  parts: SettleParts<Tx>,
  held: HeldPartition,
  records: readonly BatchRecord<Tx>[],
  mode: Trial<Tx>['mode'],
  signal: AbortSignal,
  { charged, mark }: SettleOptions<Tx> = {},
): Promise<Settled> {
  const tries = new Tries(records, mode, signal, mark)
  if (charged !== undefined) tries.setAside(charged.of, charged.failure)
  const charging = (of: MessageRecord<Tx>, error: unknown): void => charge(parts, held, tries, of, error)
  while (true) {
    const trial = tries.next(held, charging, parts.database.part === undefined)
    try {
      await applyBatch(parts, held, tries.batch, trial)
      if (held.caution > 0) held.caution--
      if (held.narrow > 0) held.narrow--
      if (held.traces > 0) held.traces--
      return tries.settled
    } catch (error) {
      const next = tries.after(error, trial)
      parts.diagnostics.emit('batch.failed', { ...placeOf(held), messages: tries.batch.length, reason: errorName(error), next })
      switch (next) {
        case 'give up':
          throw error
        case 'conflict':
          await parts.clock.sleep(backoffMs(tries.conflicts, { minMs: 1, maxMs: 100, jitter: 1 }), signal)
          break
        case 'halve':
          tries.halve()
          break
        case 'charge':
          if (trace(held, trial, tries.charged(error, trial))) break
          for (const { of, error: cause } of tries.charged(error, trial)) charging(of, cause)
          tries.cutAfter(trial)
          break
        case 'again':
          break
      }
    }
  }
}

export interface SettleOptions<Tx> {
  /** A message that is set aside without being tried. */
  readonly charged?: { readonly of: BatchRecord<Tx>; readonly failure: Failure }
  /** What is noted before the first handler starts, in one write with the batch. */
  readonly mark?: BeginMark
}

export interface Settled {
  readonly messages: number
  /** How often something had to be run again. */
  readonly reruns: number
  readonly halved: boolean
}

/** A failed message is parked with its lane: it runs again from there, at once or later, while other keys flow. */
function charge<Tx extends object>(
  parts: SettleParts<Tx>,
  held: HeldPartition,
  tries: Tries<Tx>,
  of: MessageRecord<Tx>,
  error: unknown,
): void {
  const { message, subscription } = of.routed
  const { type, id } = message
  held.caution = CAUTION
  parts.diagnostics.emit('delivery.failed', { group: held.group, type, id, attempt: 1, reason: failureName(error) })
  tries.setAside(of, { attempts: 1, reason: reasonOf(error, message.name), fate: fateAfter(subscription.policy, 1, error) })
}

type Next = 'give up' | 'conflict' | 'halve' | 'charge' | 'again'

/** What was learnt from the tries of one batch. */
class Tries<Tx> {
  readonly #mode: Trial<Tx>['mode']
  readonly #signal: AbortSignal
  readonly #mark: BeginMark | undefined
  readonly #failed = new Map<BatchRecord<Tx>, Failure>()
  #batch: readonly BatchRecord<Tx>[]
  #interleaves = true
  #form = 0
  #begun = 0
  #halved = false
  conflicts = 0

  constructor(records: readonly BatchRecord<Tx>[], mode: Trial<Tx>['mode'], signal: AbortSignal, mark?: BeginMark) {
    this.#batch = records
    this.#mark = mark
    this.#mode = mode
    this.#signal = signal
  }

  get batch(): readonly BatchRecord<Tx>[] {
    return this.#batch
  }

  get settled(): Settled {
    return { messages: this.#batch.length, reruns: this.#begun - 1, halved: this.#halved }
  }

  /** @param untraceable where nothing is gained by another try: the errors of a database library say where they come from */
  next(held: HeldPartition, charge: Trial<Tx>['charge'], untraceable: boolean): Trial<Tx> {
    this.#begun++
    const plan = {
      mode: this.#mode,
      interleaves: this.#interleaves,
      cautious: held.caution > 0 && !this.#alone,
      traces: held.traces > 0 || untraceable,
      failed: this.#failed,
      signal: this.#signal,
      mark: this.#mark?.isNoted === false ? this.#mark : undefined,
      charge,
    }
    return newTrial(plan, keptForms[this.#form])
  }

  /** Decides what a failed try asks for. */
  after(error: unknown, trial: Trial<Tx>): Next {
    if (trial.refused) return this.#keepLess()
    const reaction = this.#strongest(error, trial)
    if (reaction === 'fenced' || reaction === 'unavailable') return 'give up'
    // A handler that was told to stop did not fail.
    if (this.#signal.aborted && reaction !== 'permanent') return 'give up'
    if (reaction === 'conflict' && ++this.conflicts <= (this.#alone ? CONFLICTS_MAX : BATCH_CONFLICTS_MAX)) return 'conflict'
    if (reaction === 'conflict' && !this.#alone) return 'halve'
    if (trial.interleaved && (isUnclear(trial) || this.charged(error, trial).length === 0)) {
      this.#interleaves = false
      return 'again'
    }
    if (this.charged(error, trial).length > 0) return 'charge'
    return this.#alone ? 'give up' : 'halve'
  }

  /** Whose failure it was: handlers' own; of an error at COMMIT, the message that was alone. */
  charged(error: unknown, trial: Trial<Tx>): readonly Pick<Thrown<Tx>, 'of' | 'error'>[] {
    const own = trial.threw.filter(({ spoiled, error: cause }) => !spoiled && this.#counts(reactionTo(cause, true)))
    const [only] = this.#batch
    // Before a handler ran it was our own statements that met somebody's lock.
    const isNobodys = trial.threw.length > 0 || !trial.handlerRan || !this.#alone
    return isNobodys || only === undefined || !isMessage(only) ? own : [{ of: only, error }]
  }

  /** A message that meets a conflict each time would hold up its partition for ever: alone, it has failed in the end. */
  #counts(reaction: Reaction): boolean {
    return isCharged(reaction) || (reaction === 'conflict' && this.#alone && this.conflicts > CONFLICTS_MAX)
  }

  setAside(of: BatchRecord<Tx>, failure: Failure): void {
    this.#failed.set(of, failure)
  }

  halve(): void {
    this.conflicts = 0
    this.#halved = true
    this.#batch = this.#batch.slice(0, Math.ceil(this.#batch.length / 2))
  }

  /**
   * Goes on with the beginning of the batch up to the message that threw, which goes with it to be set aside: where
   * handlers ran in order, nothing behind it has run.
   */
  cutAfter({ threw, interleaved }: Trial<Tx>): void {
    const [thrown] = threw
    if (thrown !== undefined && !interleaved) this.#batch = this.#batch.slice(0, this.#batch.indexOf(thrown.of) + 1)
  }

  /** Of several handlers that failed side by side, one may have met what is not a message's fault: that comes first. */
  #strongest(error: unknown, { threw, handlerRan }: Trial<Tx>): Reaction {
    const reactions = [
      reactionTo(error, handlerRan),
      ...threw.filter(({ spoiled }) => !spoiled).map((each) => reactionTo(each.error, true)),
    ]
    const first = (['fenced', 'unavailable', 'conflict'] as const).find((reaction) => reactions.includes(reaction))
    return first ?? reactions[0] ?? 'failed'
  }

  get #alone(): boolean {
    return this.#batch.length === 1
  }

  #keepLess(): Next {
    if (!this.#alone) return 'halve'
    this.#form++
    return this.#form < keptForms.length ? 'again' : 'give up'
  }
}

/** Beside a savepoint of one handler, the statements of another are refused: that is nobody's failure. */
function isUnclear<Tx>({ threw }: Trial<Tx>): boolean {
  return threw.some(({ error }) => isTrunklineError(error, 'SAVEPOINT_OPEN') || isTrunklineError(error, 'SAVEPOINT_ENDED'))
}
