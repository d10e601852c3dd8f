import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Reads only above the highest sequence number that was sent: a transaction that commits late is never read. */
export function cursorBySequence(real: OutboxStoreFactory): OutboxStoreFactory {
  return aroundOutbox(real, (store) => {
    let cursor = 0n
    return {
      fetchPending: async (term, pass) => {
        const result = await store.fetchPending(term, pass)
        return result && { ...result, rows: result.rows.filter((row) => row.seq > cursor) }
      },
      remove: async (term, rows) => {
        for (const { seq } of rows) cursor = seq > cursor ? seq : cursor
        return await store.remove(term, rows)
      },
    }
  })
}
