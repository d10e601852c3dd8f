import type { Database, Transaction } from '../../../src/core/database/database.ts'
import type { InboxStore } from '../../../src/core/inbox/inbox-store.ts'

/** Keeps an id in the hour in which it is handled: sent again in the next hour, it is not found. */
export function slotByClock(real: InboxStore<Transaction>, database: Database<Transaction>): InboxStore<Transaction> {
  return {
    claim: async (tx, group, claims) => {
      const { rows } = await database
        .queryable(tx)
        .query('select floor(extract(epoch from trunkline.now()) / 3600)::bigint * 3600000 as slot')
      return await real.claim(
        tx,
        group,
        claims.map(({ id }) => ({ id, slot: Number(rows[0]?.['slot']) })),
      )
    },
  }
}
