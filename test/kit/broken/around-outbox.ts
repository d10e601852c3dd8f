import type { OutboxStore, OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'

/** A factory whose stores do what the real ones do, but for the methods that `change` gives. */
export function aroundOutbox(real: OutboxStoreFactory, change: (store: OutboxStore) => Partial<OutboxStore>): OutboxStoreFactory {
  return {
    open: async (events) => {
      const store = await real.open(events)
      return {
        acquire: (owner, leaseMs) => store.acquire(owner, leaseMs),
        renew: (term, leaseMs, floor) => store.renew(term, leaseMs, floor),
        release: (term) => store.release(term),
        fetchPending: (term, pass) => store.fetchPending(term, pass),
        look: (term, withinMs) => store.look(term, withinMs),
        remove: (term, rows) => store.remove(term, rows),
        tendArchive: () => store.tendArchive(),
        newTransactionId: () => store.newTransactionId(),
        holds: (term) => store.holds(term),
        requests: (term) => store.requests(term),
        hold: (term, hold) => store.hold(term, hold),
        unhold: (term, hold, act) => store.unhold(term, hold, act),
        moveDue: (term, limit) => store.moveDue(term, limit),
        partitionsOf: (term, topic, actual) => store.partitionsOf(term, topic, actual),
        readBacklog: (floor, withinMs) => store.readBacklog(floor, withinMs),
        hears: () => store.hears(),
        close: () => store.close(),
        ...change(store),
      }
    },
  }
}
