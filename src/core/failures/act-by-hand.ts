import { ConflictError } from '../../foundation/errors.ts'
import type { AuditLog } from './audit.ts'
import type { FailureReference, FailureState, FailureStore } from './failure-store.ts'

export interface ActParts<Tx> {
  readonly database: { transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> }
  readonly failures: FailureStore<Tx>
  readonly audit: AuditLog<Tx>
}

/** What a person does to a kept message, who it is, and why. */
export interface Act {
  readonly verb: 'redrive' | 'discard' | 'restore'
  readonly actor: string
  readonly reason: string
}

const CONFLICTS_MAX = 5

/**
 * One act on one kept message, in one transaction with its row in the audit. A worker, or another person, may have the key
 * just then: the act is tried again.
 *
 * @returns what the message was before; `undefined` when there was nothing to do it to
 * @throws ConflictError the key was not to be had again and again; nothing was changed
 * @throws TransientError the database is unreachable; nothing was changed
 */
export async function actByHand<Tx>(
  { database, failures, audit }: ActParts<Tx>,
  failure: FailureReference,
  { verb, actor, reason }: Act,
): Promise<FailureState | undefined> {
  for (let conflicts = 0; ; conflicts++) {
    try {
      return await database.transaction(async (tx) => {
        const found = await failures[verb](tx, failure)
        if (found === undefined) return undefined
        const details = { state: found.state, attempts: found.attempts, fingerprint: found.fingerprint }
        await audit.record(tx, [{ actor, act: `failure ${verb}`, subject: subjectOf(failure), reason, details }])
        return found
      })
    } catch (error) {
      if (!(error instanceof ConflictError) || conflicts >= CONFLICTS_MAX) throw error
    }
  }
}

/** Under which everything that is done to a message is found in the audit. */
export function subjectOf({ group, id }: FailureReference): string {
  return `${group} ${id}`
}
