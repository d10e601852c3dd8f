import type { Transaction } from '../../../src/core/database/database.ts'
import type { InboxStore } from '../../../src/core/inbox/inbox-store.ts'

/** Remembers no id: what is sent again is applied again. */
export function noInboxKey(): InboxStore<Transaction> {
  return { claim: async (_tx, _group, claims) => new Set(claims.map(({ id }) => id)) }
}
