import type { RetryStore } from '../../../src/core/consume/retry-store.ts'
import type { Database, Transaction } from '../../../src/core/database/database.ts'
import { retriesWith } from '../retries-with.ts'

/**
 * Deletes a key that looked empty, without a lock and without a second look. The foreign key would refuse that, so it
 * is gone as well: what the lock is for must show by itself.
 */
export function unparkWithoutLock(real: RetryStore<Transaction>, { outside }: Database<Transaction>): RetryStore<Transaction> {
  return retriesWith(real, {
    takeAll: async () => false,
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
  })
}
