import type { Blocked, OutboxStoreFactory, PendingRow } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Deletes rows when it reads them and keeps them in memory: a crash before Kafka has them loses them. */
export function markBeforeProduce(real: OutboxStoreFactory): OutboxStoreFactory {
  return aroundOutbox(real, (store) => {
    const memory = new Map<bigint, PendingRow>()
    return {
      fetchPending: async (term, pass) => {
        const rows = await store.fetchPending(term, { ...pass, inFlight: [], blocked: [] })
        if (rows === undefined) return undefined
        if (rows.length > 0) await store.remove(term, rows)
        for (const row of rows) memory.set(row.seq, row)
        const free = [...memory.values()].filter((row) => !pass.inFlight.includes(row.seq) && !pass.blocked.some((each) => isIn(row, each)))
        return free.slice(0, pass.limit)
      },
      remove: async (_term, rows) => {
        for (const row of rows) memory.delete(row.seq)
        return true
      },
    }
  })
}

function isIn(row: PendingRow, { topic, partition, partitions }: Blocked): boolean {
  return row.topic === topic && (partition === undefined || row.keyHash % partitions === partition)
}
