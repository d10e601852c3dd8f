import type { RetryStore } from '../../src/core/consume/retry-store.ts'
import type { Transaction } from '../../src/core/database/database.ts'

/** The real store, but for what is given. */
export function retriesWith(real: RetryStore<Transaction>, own: Partial<RetryStore<Transaction>>): RetryStore<Transaction> {
  return {
    lease: (capable, terms) => real.lease(capable, terms),
    dueIn: (group) => real.dueIn(group),
    peek: (key, limits) => real.peek(key, limits),
    take: (tx, key, messages) => real.take(tx, key, messages),
    takeAll: (tx, key, messages) => real.takeAll(tx, key, messages),
    fail: (tx, key, failed) => real.fail(tx, key, failed),
    giveBack: (key, delayMs, suspicion) => real.giveBack(key, delayMs, suspicion),
    runAlone: (key) => real.runAlone(key),
    renew: (key, leaseMs) => real.renew(key, leaseMs),
    forgetDiscarded: (group, olderThanMs) => real.forgetDiscarded(group, olderThanMs),
    unpark: (key) => real.unpark(key),
    ...own,
  }
}
