import type { QueryResult } from '../../core/database/database.ts'
import { ended } from './transaction-errors.ts'

/**
 * What stands for a transaction, or a piece of one, when it is over: nothing can be done in it.
 *
 * Whoever got its face may keep it, and ask the database for more with it: by then the connection is somebody else's.
 */
export const endedTransaction = {
  number: undefined,
  run: (): Promise<QueryResult> => Promise.reject(ended()),
  checkPlace: (): never => {
    throw ended()
  },
} as const
