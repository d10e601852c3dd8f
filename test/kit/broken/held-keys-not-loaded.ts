import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from './around-outbox.ts'

/** An owner that knows only of the keys that it held itself: what others held moves again, without anybody's word. */
export function heldKeysNotLoaded(real: OutboxStoreFactory): OutboxStoreFactory {
  return aroundOutbox(real, (store) => ({
    holds: async (term) => (await store.holds(term)) && [],
  }))
}
