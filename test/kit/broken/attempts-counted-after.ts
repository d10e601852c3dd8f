import type { RetryStore } from '../../../src/core/consume/retry-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { retriesWith } from '../retries-with.ts'

/** Counts an attempt when it has succeeded, so that one which never does is never counted. */
export function attemptsCountedAfter(real: RetryStore<Transaction>): RetryStore<Transaction> {
  return retriesWith(real, {
    fail: async (_, key) => {
      await real.giveBack(key, 0)
      return true
    },
  })
}
