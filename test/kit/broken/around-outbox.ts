import type { OutboxStore, OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'

/** A factory whose stores do what the real ones do, but for the methods that `change` gives. */
export function aroundOutbox(real: OutboxStoreFactory, change: (store: OutboxStore) => Partial<OutboxStore>): OutboxStoreFactory {
  return {
    open: async (onLost) => {
      const store = await real.open(onLost)
      return {
        acquire: (owner, leaseMs) => store.acquire(owner, leaseMs),
        renew: (term, leaseMs) => store.renew(term, leaseMs),
        release: (term) => store.release(term),
        fetchPending: (term, pass) => store.fetchPending(term, pass),
        remove: (term, rows) => store.remove(term, rows),
        partitionsOf: (topic) => store.partitionsOf(topic),
        storePartitions: (topic, partitions) => store.storePartitions(topic, partitions),
        close: () => store.close(),
        ...change(store),
      }
    },
  }
}
