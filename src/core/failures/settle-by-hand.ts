import { TransientError } from '../../foundation/errors.ts'
import type { FailureReference } from './failure-store.ts'
import { type RedriveParts, subjectOf } from './redrive.ts'

export type SettleParts<Tx> = Omit<RedriveParts<Tx>, 'clock'>

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
  { database, failures, audit }: SettleParts<Tx>,
  selection: readonly FailureReference[],
  { act, actor, reason }: SettlePlan,
  signal: AbortSignal,
): Promise<number> {
  let done = 0
  for (const failure of selection) {
    if (signal.aborted)
      throw new TransientError('INTERRUPTED', `Interrupted after ${done} of ${selection.length} messages.`, { signal: 'SIGINT' })
    const before = await database.transaction(async (tx) => {
      const found = await failures[act](tx, failure)
      if (found === undefined) return undefined
      const details = { state: found.state, attempts: found.attempts, fingerprint: found.fingerprint }
      await audit.record(tx, [{ actor, act: `failure ${act}`, subject: subjectOf(failure), reason, details }])
      return found
    })
    if (before !== undefined) done++
  }
  return done
}
