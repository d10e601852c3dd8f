import { TransientError } from '../../foundation/errors.ts'
import { type ActParts, actByHand } from './act-by-hand.ts'
import type { FailureReference } from './failure-store.ts'

export interface SettlePlan {
  readonly act: 'discard' | 'restore'
  readonly actor: string
  readonly reason: string
}

/**
 * Discards messages, or takes their discard back, each in a transaction of its own.
 *
 * @returns how many were; the others had been settled by somebody else
 * @throws TransientError the database is unreachable; what was done stays done, and is in the audit
 */
export async function settleByHand<Tx>(
  parts: ActParts<Tx>,
  selection: readonly FailureReference[],
  { act, actor, reason }: SettlePlan,
  signal: AbortSignal,
): Promise<number> {
  let done = 0
  for (const failure of selection) {
    if (signal.aborted)
      throw new TransientError('INTERRUPTED', `Interrupted after ${done} of ${selection.length} messages.`, { signal: 'SIGINT' })
    if ((await actByHand(parts, failure, { verb: act, actor, reason })) !== undefined) done++
  }
  return done
}
