import { ConflictError, PermanentError } from '../../foundation/errors.ts'
import { codeOf } from './errors.ts'

export function ended(): PermanentError {
  return new PermanentError(
    'TRANSACTION_ENDED',
    'The transaction has ended, so nothing can be done in it any more. Await every statement before the handler or the work function returns.',
  )
}

export function savepointOpen(): PermanentError {
  return new PermanentError(
    'SAVEPOINT_OPEN',
    'A statement, a message or a savepoint came beside an open savepoint, whose rollback would undo it unseen; the transaction is lost. ' +
      'Await tx.savepoint(fn) before you go on, and do inside fn what belongs to it.',
  )
}

export function savepointEnded(): PermanentError {
  return new PermanentError(
    'SAVEPOINT_ENDED',
    'A statement, a message or a savepoint came out of the work of a savepoint that has ended. ' +
      'Await everything inside tx.savepoint(fn) before fn returns.',
  )
}

export function savepointStillOpen(): PermanentError {
  return new PermanentError(
    'SAVEPOINT_OPEN',
    'The work returned while a savepoint of it was open, so nobody knows what belongs to the transaction; it was rolled back. ' +
      'Await tx.savepoint(fn) before the handler or the work function returns.',
  )
}

/** It happens once: from then on nothing is prepared, or not this statement. */
export function notPrepared(error: unknown): ConflictError {
  const message =
    'A statement that was prepared is not known to this server, as behind a transaction pooler, or a table of it was changed since. ' +
    'From now on it is sent as it is. Run the transaction again.'
  return new ConflictError('DATABASE_CONFLICT', message, { sqlState: codeOf(error) }, error)
}

export function connectionIsGone(error: unknown): boolean {
  return codeOf(error) === 'DATABASE_UNAVAILABLE'
}
