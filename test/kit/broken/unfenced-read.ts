import { Client } from 'pg'
import type { OutboxStoreFactory, Term } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Reads whoever is in office: an owner that was replaced goes on beside its successor. */
export function unfencedRead(url: string): (real: OutboxStoreFactory) => OutboxStoreFactory {
  return (real) =>
    aroundOutbox(real, (store) => ({
      fetchPending: async (_term, pass) => await store.fetchPending(await ownerOf(url), pass),
    }))
}

async function ownerOf(url: string): Promise<Term> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select owner, epoch from trunkline.outbox_lease where shard = 0')
  await client.end()
  return { owner: rows[0]?.owner, epoch: BigInt(rows[0]?.epoch) }
}
