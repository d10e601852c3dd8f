import type { RetryStore } from '../../../src/core/consume/retry-store.ts'
import type { Transaction } from '../../../src/core/database/database.ts'

/** Counts an attempt when it has succeeded, so that one which never does is never counted. */
export function attemptsCountedAfter(real: RetryStore<Transaction>): RetryStore<Transaction> {
  return {
    lease: (capable, limit, leaseMs) => real.lease(capable, limit, leaseMs),
    dueIn: (group) => real.dueIn(group),
    peek: (key, limits) => real.peek(key, limits),
    take: (tx, key, messages) => real.take(tx, key, messages),
    takeAll: (tx, key, messages) => real.takeAll(tx, key, messages),
    fail: async (_, key) => {
      await real.giveBack(key, 0)
      return true
    },
    giveBack: (key, delayMs) => real.giveBack(key, delayMs),
    runAlone: (key) => real.runAlone(key),
    renew: (key, leaseMs) => real.renew(key, leaseMs),
    forgetDiscarded: (group, olderThanMs) => real.forgetDiscarded(group, olderThanMs),
    unpark: (key) => real.unpark(key),
  }
}
