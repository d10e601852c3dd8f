import type { OutboxStoreFactory, Pass, PendingRow, Section } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

const everything = { after: 0n, upTo: 2n ** 62n, inFlight: [], only: undefined, without: [] }

/** Deletes rows when it reads them and keeps them in memory: a crash before Kafka has them loses them. */
export function markBeforeProduce(real: OutboxStoreFactory): OutboxStoreFactory {
  return aroundOutbox(real, (store) => {
    const memory = new Map<bigint, PendingRow>()
    return {
      fetchPending: async (term, pass) => {
        const result = await store.fetchPending(term, { ...pass, ...everything })
        if (result === undefined) return undefined
        if (result.rows.length > 0) await store.remove(term, result.rows)
        for (const row of result.rows) memory.set(row.seq, kept(row))
        const shown = [...memory.values()].filter((row) => shows(pass, row)).toSorted((a, b) => Number(a.seq - b.seq))
        return { ...result, rows: shown.slice(0, pass.limit), limited: shown.length >= pass.limit }
      },
      remove: async (_term, rows) => {
        for (const row of rows) memory.delete(row.seq)
        return await store.newTransactionId()
      },
    }
  })
}

/** It is shown again and again, whoever released it. */
function kept({ seq, topic, id, keyHash, timestampMs, key, value, headers, size }: PendingRow): PendingRow {
  const own = {
    key: key && Buffer.from(key),
    value: value && Buffer.from(value),
    headers: headers.map(([name, bytes]) => [name, Buffer.from(bytes)] as const),
  }
  return { seq, topic, id, keyHash, timestampMs, size, ...own, release: () => undefined }
}

function shows(pass: Pass, row: PendingRow): boolean {
  if (row.seq <= pass.after || row.seq > pass.upTo || pass.inFlight.includes(row.seq)) return false
  return (pass.only?.some((section) => isIn(row, section)) ?? true) && !pass.without.some((section) => isIn(row, section))
}

function isIn(row: PendingRow, { topic, partition, partitions }: Section): boolean {
  return row.topic === topic && (partition === undefined || row.keyHash % partitions === partition)
}
