import { type KeptForm, keptForms } from './kept-form.ts'
import type { BatchRecord, MessageRecord } from './lanes.ts'
import type { Started } from './position-store.ts'
import type { Failure } from './set-aside.ts'

/** A handler's error, and whether it was only hit by another's. */
export interface Thrown<Tx> {
  readonly of: MessageRecord<Tx>
  readonly error: unknown
  readonly spoiled: boolean
}

/** What a process notes before a batch runs, so that it is found if the process dies; see `crash-loop.ts`. */
export interface BeginMark {
  readonly started: Started
  isNoted: boolean
}

/** One try of a batch: how it is to be run, and afterwards what went wrong. */
export interface Trial<Tx> {
  /** Whether the position moves with the batch, or follows messages that commit for themselves. */
  readonly mode: 'batch' | 'message'
  /** Whether handlers may run side by side where their subscription allows it. */
  readonly interleaves: boolean
  /** Whether to run in segments, each behind a savepoint: the partition had failures lately. */
  readonly cautious: boolean
  readonly form: KeptForm
  /** Whether statements note who sends them. */
  traces: boolean
  /** Messages that are to be set aside. */
  readonly failed: ReadonlyMap<BatchRecord<Tx>, Failure>
  readonly signal: AbortSignal
  /** What is still to be noted in front of it. */
  readonly mark: BeginMark | undefined
  /** Records a handler's failure: afterwards its message is to be set aside. */
  readonly charge: (of: MessageRecord<Tx>, error: unknown) => void

  /** What handlers threw, in the order in which they did. */
  readonly threw: Thrown<Tx>[]
  /** The faces of the transaction that handlers got. */
  readonly txs: Tx[]
  /** Whether handlers did run side by side. */
  interleaved: boolean
  /** Whether a failure can be a handler's at all. */
  handlerRan: boolean
  /** The database would not take what was to be kept. */
  refused: boolean
  /** When it gives up after it was told to stop, by the monotonic clock; all its segments together have that time. */
  stopAt: number
}

export function newTrial<Tx>(
  plan: Pick<Trial<Tx>, 'mode' | 'interleaves' | 'cautious' | 'traces' | 'failed' | 'signal' | 'mark' | 'charge'>,
  form = keptForms[0],
): Trial<Tx> {
  return { ...plan, form, threw: [], txs: [], interleaved: false, handlerRan: false, refused: false, stopAt: Number.POSITIVE_INFINITY }
}
