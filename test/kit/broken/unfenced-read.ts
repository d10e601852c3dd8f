import { Client } from 'pg'
import type { OutboxStoreFactory, Term } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Reads whoever is in office: an owner that was replaced goes on beside its successor. */
export function unfencedRead(url: string): (real: OutboxStoreFactory) => OutboxStoreFactory {
  return (real) =>
    aroundOutbox(real, (store) => {
      // Twice: somebody may come into office between the two questions.
      const asOwner = async <Result>(ask: (term: Term) => Promise<Result | undefined>): Promise<Result | undefined> =>
        (await ask(await ownerOf(url))) ?? (await ask(await ownerOf(url)))
      return {
        fetchPending: (_term, pass) => asOwner((term) => store.fetchPending(term, pass)),
        look: (_term, withinMs) => asOwner((term) => store.look(term, withinMs)),
        // It asks every second, and would be told.
        moveDue: (_term, limit) => asOwner((term) => store.moveDue(term, limit)),
      }
    })
}

async function ownerOf(url: string): Promise<Term> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select owner, epoch from trunkline.outbox_lease where shard = 0')
  await client.end()
  return { owner: rows[0]?.owner, epoch: BigInt(rows[0]?.epoch) }
}
