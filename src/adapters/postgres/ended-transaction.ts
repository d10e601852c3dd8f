import type { QueryResult } from '../../core/database/database.ts'
import { ended } from './transaction-errors.ts'

/**
 * What stands for a transaction, or a piece of one, when it is over: nothing can be done in it.
 *
 * Its face may be kept by whoever got it, and everything of the transaction must not be kept with it.
 */
export const endedTransaction = {
  number: undefined,
  run: (): Promise<QueryResult> => Promise.reject(ended()),
  checkPlace: (): never => {
    throw ended()
  },
} as const
