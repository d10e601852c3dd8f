import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/**
 * Reads above the highest number it has seen, and now and then from the beginning. What was committed late is found
 * in the end, but behind later messages of its key.
 *
 * @param sweeps whether this read begins at 0
 */
export function highMarkAndSweep(sweeps: () => boolean): (real: OutboxStoreFactory) => OutboxStoreFactory {
  return (real) =>
    aroundOutbox(real, (store) => {
      let high = 0n
      return {
        fetchPending: async (term, pass) => {
          // What lanes left in the table is read as ours is.
          if (pass.only !== undefined) return await store.fetchPending(term, pass)
          const result = await store.fetchPending(term, { ...pass, after: sweeps() ? 0n : high, upTo: high + 50_000n })
          for (const { seq } of result?.rows ?? []) high = seq > high ? seq : high
          // The relay's own mark stands still, so that this one decides.
          return result && { ...result, oldestRunning: 0n, lastNumber: 0n }
        },
      }
    })
}
