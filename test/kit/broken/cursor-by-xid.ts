import { Client } from 'pg'
import { unpackHeaders } from '../../../src/core/broker/header-bytes.ts'
import type { OutboxStoreFactory, PassResult } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/**
 * Reads by transaction id, then number, below the oldest transaction that is open. Nothing is lost; but a transaction
 * has its id from its first write, not from when it locked the key: a later message of the key may have the lower one.
 */
export function cursorByXid(url: string): (real: OutboxStoreFactory) => OutboxStoreFactory {
  return (real) =>
    aroundOutbox(real, (store) => {
      let at = { xid: '0', seq: '0' }
      const read = async (limit: number): Promise<PassResult> => {
        const client = new Client({ connectionString: url })
        await client.connect()
        const { rows } = await client.query(readSql, [at.xid, at.seq, limit])
        await client.end()
        const last = rows.at(-1)
        if (last !== undefined) at = { xid: last.xid, seq: last.seq }
        return {
          rows: rows.map((row) => ({
            ...row,
            seq: BigInt(row.seq),
            keyHash: row.key_hash,
            headers: unpackHeaders(row.headers),
            timestampMs: 0,
            size: 0,
            release: () => undefined,
          })),
          limited: false,
          lastNumber: 0n,
          oldestRunning: 0n,
          assumptionHolds: true,
          running: [],
        }
      }
      // What lanes left in the table is read as ours is.
      return { fetchPending: (term, pass) => (pass.only === undefined ? read(pass.limit) : store.fetchPending(term, pass)) }
    })
}

const readSql = `
  select xid::text, seq::text, topic, id::text, key, value, headers, key_hash
    from trunkline.outbox
   where (xid, seq) > ($1::xid8, $2::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
   order by outbox.xid, outbox.seq
   limit $3`
