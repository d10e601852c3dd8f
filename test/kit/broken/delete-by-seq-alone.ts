import { Client } from 'pg'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Deletes by number: after a crash of the server a number can belong to another message. */
export function deleteBySeqAlone(url: string): (real: OutboxStoreFactory) => OutboxStoreFactory {
  return (real) =>
    aroundOutbox(real, (store) => ({
      remove: async (_term, rows) => {
        const client = new Client({ connectionString: url })
        await client.connect()
        await client.query('delete from trunkline.outbox where seq = any ($1::bigint[])', [rows.map(({ seq }) => seq)])
        await client.end()
        return await store.newTransactionId()
      },
    }))
}
