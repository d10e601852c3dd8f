import { TransientError } from '../../foundation/errors.ts'
import { mapDatabaseError } from './errors.ts'
import { statement } from './statement.ts'
import type { OpenTransaction } from './transaction.ts'

/** @throws TransientError `COMMIT_ROLLED_BACK`: the server took it, and kept nothing */
export async function sendCommit(transaction: OpenTransaction): Promise<void> {
  const { command } = await transaction.send(statement('commit')).catch((error: unknown) => {
    throw mapDatabaseError(error, 'COMMIT')
  })
  // COMMIT of an aborted transaction succeeds, with another tag and no error.
  if (command !== 'COMMIT') throw rolledBack(command)
}

function rolledBack(tag: string): TransientError {
  return new TransientError(
    'COMMIT_ROLLED_BACK',
    `The server answered COMMIT with ${tag}: a statement of the transaction had failed, so nothing was kept. ` +
      'Let errors of statements reach the backbone, or use tx.savepoint(fn) for a part that may fail.',
    { tag },
  )
}
