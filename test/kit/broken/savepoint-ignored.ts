import type { Database, Transaction } from '../../../src/core/database/database.ts'

/** A database that tells nobody that a savepoint was set, so that what was published inside is not dropped with it. */
export function savepointIgnored(real: Database<Transaction>): Database<Transaction> {
  return {
    transactions: real.transactions,
    outside: real.outside,
    transaction: (work, { beforeCommit, rerunsWhenUnknown = false } = {}) =>
      real.transaction(work, { rerunsWhenUnknown, ...(beforeCommit === undefined ? {} : { beforeCommit }) }),
    checkPlace: (tx) => real.checkPlace(tx),
    wholeOf: (tx) => real.wholeOf(tx),
    owns: (tx) => real.owns(tx),
    queryable: (tx) => real.queryable(tx),
    outcomeOf: (transactionId) => real.outcomeOf(transactionId),
    reachable: () => real.reachable(),
    close: () => real.close(),
  }
}
