import { ConflictError, TransientError } from '../../foundation/errors.ts'
import { runHandler } from './pipeline.ts'
import type { RetryKeySettings, RetryParts } from './retry-parts.ts'
import type { LeasedKey, QueuedMessage } from './retry-store.ts'
import { type Routed, routeRecord } from './route.ts'
import { withinPart } from './within-part.ts'

/** Messages that one last transaction may hold, and their bytes: whoever appends to the key waits for it. */
export const DRAIN_MAX = { messages: 100, bytes: 4 * 1024 * 1024 } as const

type RoutedMessage<Tx> = Extract<Routed<Tx>, { kind: 'message' }>

/**
 * Ends a key to which messages are appended as fast as they run: locks it against everybody, runs the whole queue and
 * deletes the key, in one transaction. Only for messages that have not failed, and whose handlers share transactions.
 *
 * @param messages the whole queue, as it was read
 * @returns false when it cannot be done now, or a handler threw: nothing was changed, and the messages run one by one
 * @throws TransientError the database is unreachable; nothing was changed
 */
export async function drainKey<Tx extends object>(
  parts: RetryParts<Tx>,
  { subscriptions }: RetryKeySettings<Tx>,
  key: LeasedKey,
  messages: readonly QueuedMessage[],
  signal: AbortSignal,
): Promise<boolean> {
  const { database, diagnostics, publisher, retries, share } = parts
  const { group } = key
  const routed = messages.map(({ record, place }) => routeRecord(record, place, { subscriptions, writerSchemas: parts.writerSchemas }))
  if (messages.some(({ attempts }) => attempts > 0) || !routed.every(sharesTransaction)) return false
  let taken = false
  const work = async (tx: Tx): Promise<void> => {
    taken = await retries.takeAll(tx, key, messages)
    if (!taken) throw new ConflictError('QUEUE_CHANGED', 'The queue has other messages than were read; nothing was run.')
    for (const [index, { message, subscription }] of routed.entries()) {
      if (signal.aborted) throw new TransientError('STOPPED', 'The retry service was stopped; what had run is rolled back and runs again.')
      const part = database.part?.(tx)
      const own = part?.tx ?? tx
      publisher.enter(tx, own, { id: message.id, correlationId: message.correlationId })
      diagnostics.emit('delivery.started', { group, type: message.type, id: message.id, attempt: 1 })
      const inboxId = messages[index]?.inboxId ?? ''
      await withinPart(part, () => runHandler(parts, { tx: own, group, inboxId, message, subscription, attempt: 1, signal }))
    }
    diagnostics.emit('retry.draining', { group, messages: messages.length })
  }
  try {
    await share.use(`retries ${group}`, () => publisher.transaction(work, { rerunsWhenUnknown: true }))
  } catch (error) {
    // Whose fault it was shows when they run one by one.
    if (!taken && !(error instanceof ConflictError)) throw error
    return false
  }
  for (const [index, { message }] of routed.entries()) {
    const { place, record } = messages[index] ?? {}
    if (place === undefined || record === undefined) continue
    const told = { group, type: message.type, id: message.id, ...place, offset: record.offset }
    diagnostics.emit('delivery.applied', { ...told, publishedAt: message.time.getTime() })
  }
  diagnostics.emit('retry.unparked', { group, topic: key.topic })
  return true
}

function sharesTransaction<Tx>(routed: Routed<Tx>): routed is RoutedMessage<Tx> {
  return routed.kind === 'message' && routed.subscription.policy.transaction === 'batch'
}
