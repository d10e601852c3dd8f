import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Reads only above the highest sequence number that it has seen: a transaction that commits late is never read. */
export function cursorBySequence(real: OutboxStoreFactory): OutboxStoreFactory {
  return aroundOutbox(real, (store) => {
    let cursor = 0n
    return {
      fetchPending: async (term, pass) => {
        const result = await store.fetchPending(term, pass)
        // What lanes left in the table is read as ours is.
        if (result === undefined || pass.only !== undefined) return result
        const rows = result.rows.filter((row) => row.seq > cursor)
        for (const { seq } of rows) cursor = seq > cursor ? seq : cursor
        return { ...result, rows }
      },
    }
  })
}
