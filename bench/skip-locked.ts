import { unpackHeaders } from '../src/core/broker/header-bytes.ts'
import { type Ground, PARTITIONS } from './outbox-ground.ts'

/** @returns events a second of a relay that takes one row, sends it, deletes it and commits */
export async function skipLocked({ log, pool, topic }: Ground, events: number): Promise<number> {
  const client = await pool.connect()
  await log.producer.start(AbortSignal.timeout(30_000))
  const began = performance.now()
  try {
    for (let sent = 0; sent < events; sent++) {
      await client.query('begin')
      const { rows } = await client.query(takeSql)
      const { seq, key, value, headers, key_hash: keyHash } = rows[0]
      const record = { key, value, headers: unpackHeaders(headers), timestampMs: Date.now() }
      const outcome = await log.producer.append({ topic, partition: keyHash % PARTITIONS }, [record])
      if (outcome.status !== 'acked') throw outcome.reason
      await client.query('delete from trunkline.outbox where seq = $1', [seq])
      await client.query('commit')
    }
    return (events / (performance.now() - began)) * 1_000
  } finally {
    client.release()
    await log.producer.stop(5_000)
  }
}

const takeSql = 'select seq, key, value, headers, key_hash from trunkline.outbox order by seq limit 1 for update skip locked'
