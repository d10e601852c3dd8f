import type { RetryStore } from '../../../src/core/consume/retry-store.ts'
import type { Database, Transaction } from '../../../src/core/database/database.ts'

/**
 * Deletes a key that looked empty, without a lock and without a second look. The foreign key would refuse that, so it
 * is gone as well: what the lock is for must show by itself.
 */
export function unparkWithoutLock(real: RetryStore<Transaction>, { outside }: Database<Transaction>): RetryStore<Transaction> {
  return {
    lease: (capable, limit, leaseMs) => real.lease(capable, limit, leaseMs),
    dueIn: (group) => real.dueIn(group),
    peek: (key, limits) => real.peek(key, limits),
    take: (tx, key, messages) => real.take(tx, key, messages),
    takeAll: async () => false,
    fail: (tx, key, failed) => real.fail(tx, key, failed),
    giveBack: (key, delayMs) => real.giveBack(key, delayMs),
    runAlone: (key) => real.runAlone(key),
    renew: (key, leaseMs) => real.renew(key, leaseMs),
    forgetDiscarded: (group, olderThanMs) => real.forgetDiscarded(group, olderThanMs),
    unpark: async ({ group, topic, hash }) => {
      await outside.query(
        'alter table trunkline.parked_message drop constraint if exists parked_message_consumer_group_key_topic_key_hash_fkey',
      )
      await outside.query('delete from trunkline.parked_key where consumer_group = $1 and topic = $2 and key_hash = $3', [
        group,
        topic,
        hash,
      ])
      return true
    },
  }
}
