import type { OutboxStore, OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** Opens anew when a connection is lost and tells nobody: the owner goes on with the mark that it had, and does not see that numbers went back. */
export function memoryKept(real: OutboxStoreFactory): OutboxStoreFactory {
  return {
    open: async (events) => {
      const silent = { ...events, onLost: () => undefined }
      let current: OutboxStore = await real.open(silent)
      let lastNumber = 0n
      const again = async <Result>(ask: (store: OutboxStore) => Promise<Result>): Promise<Result> => {
        try {
          return await ask(current)
        } catch {
          current = await real.open(silent)
          return await ask(current)
        }
      }
      const reopening = aroundOutbox({ open: async () => current }, () => ({
        renew: (term, leaseMs, floor) => again((store) => store.renew(term, leaseMs, floor)),
        fetchPending: async (term, pass) => {
          const result = await again((store) => store.fetchPending(term, pass))
          if (result === undefined) return undefined
          if (result.lastNumber > lastNumber) lastNumber = result.lastNumber
          return { ...result, lastNumber }
        },
        look: (term, withinMs) => again((store) => store.look(term, withinMs)),
        remove: (term, rows) => again((store) => store.remove(term, rows)),
        newTransactionId: () => again((store) => store.newTransactionId()),
        holds: (term) => again((store) => store.holds(term)),
        requests: (term) => again((store) => store.requests(term)),
        moveDue: (term, limit) => again((store) => store.moveDue(term, limit)),
        partitionsOf: (term, topic, actual) => again((store) => store.partitionsOf(term, topic, actual)),
        tendArchive: () => again((store) => store.tendArchive()),
        close: () => current.close(),
      }))
      return await reopening.open(events)
    },
  }
}
