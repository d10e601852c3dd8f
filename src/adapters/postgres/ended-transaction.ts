import type { QueryResult } from '../../core/database/database.ts'
import { ended } from './transaction-errors.ts'

/**
 * What stands for a transaction, or a piece of one, when it is over: nothing can be done in it.
 *
 * It is noted by its face. V8's minor collections keep what a WeakMap in the old generation maps to, whether its key
 * lives or not: with everything of the transaction behind it, that was most of what they copied.
 */
export const endedTransaction = {
  number: undefined,
  run: (): Promise<QueryResult> => Promise.reject(ended()),
  checkPlace: (): never => {
    throw ended()
  },
} as const
