import { deadLetter } from '../failures/dead-letter.ts'
import type { Reason } from '../failures/reason.ts'
import type { Fate } from './policies/fate.ts'
import type { RetryParts } from './retry-parts.ts'
import type { LeasedKey, QueuedMessage } from './retry-store.ts'

/** A failure has a transaction of its own: that of the attempt is gone. */
export async function recordFailure<Tx extends object>(
  parts: RetryParts<Tx>,
  key: LeasedKey,
  head: QueuedMessage,
  { type, id }: { readonly type: string; readonly id: string },
  reason: Reason,
  fate: Fate,
): Promise<void> {
  const { diagnostics, incidents, publisher, retries } = parts
  const { group } = key
  const attempts = head.attempts + 1
  const dead = { group, place: head.place, offset: head.record.offset, type, id, attempts, code: reason.code, holdsItsKey: fate.queued }
  diagnostics.emit('retry.recording', { group, type, id })
  const tx = await publisher.transaction(async (tx) => {
    if (!(await retries.fail(tx, key, { seq: head.seq, attempts, reason, fate }))) return undefined
    if (fate.state === 'dead') await incidents.recordIn(tx, deadLetter(dead))
    return tx
  })
  if (tx === undefined) return
  incidents.announce(tx)
  diagnostics.emit('delivery.parked', { group, type, id, state: fate.state, reason: reason.code })
}
