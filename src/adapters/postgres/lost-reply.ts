import type { TransactionOutcome } from '../../core/database/database.ts'
import type { BackboneDiagnostics } from '../../core/diagnostics.ts'
import { isTrunklineError, messageOf, TransientError, UnknownOutcomeError } from '../../foundation/errors.ts'

export interface LostReplyParts {
  readonly diagnostics: BackboneDiagnostics
  outcomeOf(transactionId: string): Promise<TransactionOutcome>
}

/** Nobody answered, or the server went down while it answered: the transaction may be committed. */
export function isReplyLost(error: unknown): error is TransientError {
  return isTrunklineError(error, 'DATABASE_UNAVAILABLE')
}

/**
 * Asks the server what became of a transaction whose COMMIT went unanswered. Returns when it is known to be committed.
 *
 * @param transactionId `undefined` when the transaction had written nothing before COMMIT
 * @throws TransientError `COMMIT_ABORTED`: nothing was changed
 * @throws UnknownOutcomeError the server could not say
 */
export async function resolveLostReply(parts: LostReplyParts, transactionId: string | undefined, lost: TransientError): Promise<void> {
  const outcome = transactionId === undefined ? 'unknown' : await parts.outcomeOf(transactionId)
  if (outcome === 'committed') return
  if (outcome === 'aborted') {
    const message = `The connection was lost during COMMIT; the server says that transaction ${transactionId} was rolled back. Nothing was changed: run it again.`
    throw new TransientError('COMMIT_ABORTED', message, { transactionId }, lost)
  }
  parts.diagnostics.emit('transaction.outcome_unknown', { transactionId })
  throw outcomeUnknown(transactionId, lost)
}

function outcomeUnknown(transactionId: string | undefined, lost: TransientError): UnknownOutcomeError {
  const what = `The connection was lost during COMMIT (${messageOf(lost)})`
  const message =
    transactionId === undefined
      ? `${what}. The transaction had written nothing before it, so there is no outcome to ask for. ` +
        'Run it again, unless something that it deferred to COMMIT must not happen twice (a trigger, a notification).'
      : `${what}, and the server could not say what became of it. The transaction may have been committed. ` +
        'Ask backbone.outcomeOf(error) when the database is back, before you run it again.'
  return new UnknownOutcomeError('COMMIT_OUTCOME_UNKNOWN', message, { transactionId }, lost)
}
