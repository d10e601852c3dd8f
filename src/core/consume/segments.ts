import { isTrunklineError } from '../../foundation/errors.ts'
import type { EffectParts, HeldPartition } from './effect.ts'
import type { BatchRecord, MessageRecord } from './lanes.ts'
import { type BatchFacts, type BatchPlan, planBatch } from './plan.ts'
import { isCharged, reactionTo } from './retry.ts'
import { endOfNeighbours, runMessages } from './run-messages.ts'
import type { Kept } from './set-aside.ts'
import { trace } from './trace.ts'
import type { Thrown, Trial } from './trial.ts'

/** One message of a hundred fails: three of four segments have none, and one that has runs a dozen handlers again. */
const SEGMENT = 25
/**
 * Side by side, whoever throws does so in the same try, so that two tries of all of them are less than a few of each segment:
 * a segment waits for the database once, however long it is. But where a statement fails, the others only hear that the
 * transaction is lost: one try tells of one of them. And what fails now and then, as behind a network, fails in every try that
 * is long enough: half of a batch would be parked for it.
 */
const SEGMENT_SIDE_BY_SIDE = 50
const NARROW = 50

/** A batch that is claimed, and what was decided about it. */
export interface ClaimedBatch<Tx> {
  readonly records: readonly BatchRecord<Tx>[]
  readonly facts: BatchFacts<Tx>
  readonly plan: BatchPlan<Tx>
}

/**
 * Runs the handlers of a batch in segments, each behind a savepoint. A message that throws costs its segment a rerun,
 * not the batch its transaction.
 *
 * What threw is set aside at the end, together, behind the effects of the others. That locks parked keys after the user's
 * rows, against the global order. It can wait in a circle only if a person redrove a message of that very key after the
 * batch looked, and a worker that took it up waits for a row of ours: otherwise only the holder of the partition parks
 * its keys. PostgreSQL then undoes one of the two, which is a conflict and runs again without charge.
 *
 * @param keep sets aside; called once
 * @returns what became of the batch in the end
 * @throws what is not one handler's failure, or leaves the transaction unusable: the batch must be rolled back
 */
export async function runInSegments<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  { records, facts, plan }: ClaimedBatch<Tx>,
  trial: Trial<Tx>,
  keep: (kept: readonly Kept<Tx>[]) => Promise<void>,
): Promise<BatchPlan<Tx>> {
  let current = plan
  let threwAt: number | undefined
  for (let at = 0; at < current.run.length; ) {
    const segment = current.run.slice(at, at + sizeAt(current.run, at, held, trial))
    const threw = await trySegment(parts, tx, held, segment, trial)
    if (threw.length === 0) {
      at += segment.length
      continue
    }
    // It is not charged yet: it runs once more, to be told from other failures of its class.
    if (trace(held, trial, threw)) continue
    if (threwAt === at && segment.length > SEGMENT) held.narrow = NARROW
    threwAt = at
    for (const { of, error } of threw) trial.charge(of, error)
    current = planBatch(held, records, { ...facts, failed: trial.failed })
  }
  const keptBefore = new Set(plan.kept.map(({ of }) => of))
  await keep(current.kept.filter(({ of }) => !keptBefore.has(of)))
  return current
}

/** In order, whoever throws ends the try: what stands behind those that run side by side is not in their segment. */
function sizeAt<Tx>(run: readonly MessageRecord<Tx>[], at: number, { narrow }: HeldPartition, { interleaves }: Trial<Tx>): number {
  const sideBySide = interleaves ? endOfNeighbours(run, at) - at : 0
  return Math.max(SEGMENT, narrow > 0 ? Math.min(sideBySide, SEGMENT_SIDE_BY_SIDE) : sideBySide)
}

/** @returns what was thrown and is undone; nothing where the segment ran */
async function trySegment<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  segment: readonly MessageRecord<Tx>[],
  trial: Trial<Tx>,
): Promise<readonly Thrown<Tx>[]> {
  const txs = trial.txs.length
  const work = (): Promise<void> => runMessages(parts, tx, held, segment, trial)
  try {
    await (parts.database.savepoint?.(tx, work) ?? work())
    return []
  } catch (error) {
    const own = trial.threw.filter(({ spoiled }) => !spoiled)
    const undone = own.length > 0 && own.every(leavesTransaction) && isCharged(reactionTo(error, true))
    if (!undone || trial.signal.aborted || parts.database.savepoint === undefined) throw error
    if (own.length < trial.threw.length) held.narrow = NARROW
    trial.txs.splice(txs)
    trial.threw.splice(0)
    return own
  }
}

/** A handler that still runs could use the transaction, and work beside a savepoint has lost it for good. */
function leavesTransaction<Tx>({ error }: Thrown<Tx>): boolean {
  const unusable = ['HANDLER_TIMEOUT', 'SAVEPOINT_OPEN', 'SAVEPOINT_ENDED'].some((code) => isTrunklineError(error, code))
  return !unusable && isCharged(reactionTo(error, true))
}
