import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Reads only above the highest sequence number that it has seen: a transaction that commits late is never read. */
export function cursorBySequence(real: OutboxStoreFactory): OutboxStoreFactory {
  return aroundOutbox(real, (store) => {
    let cursor = 0n
    return {
      fetchPending: async (term, pass) => {
        const rows = await store.fetchPending(term, pass)
        const above = rows?.filter((row) => row.seq > cursor)
        cursor = above?.at(-1)?.seq ?? cursor
        return above
      },
    }
  })
}
