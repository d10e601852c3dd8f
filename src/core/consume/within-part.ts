import { isTrunklineError } from '../../foundation/errors.ts'
import type { TransactionPart } from '../database/database.ts'

/**
 * Runs what belongs to a piece of a transaction's work, and ends the piece once, however that went: a connection on which a
 * piece is open is destroyed, not used again. It shall be where a handler was given up that still runs.
 *
 * @param part `undefined` where the transaction is one piece
 * @throws whatever `work` threw, or the error by which a statement of the piece lost the transaction
 */
export async function withinPart<Tx>(part: TransactionPart<Tx> | undefined, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isTrunklineError(error, 'HANDLER_TIMEOUT')) await part?.end().catch(() => undefined)
    throw error
  }
  await part?.end()
}
