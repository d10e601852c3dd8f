import { TransientError } from '../../foundation/errors.ts'
import type { EffectParts, HeldPartition } from './effect.ts'
import type { MessageRecord } from './lanes.ts'
import { runHandler } from './pipeline.ts'
import type { Trial } from './trial.ts'
import { withinPart } from './within-part.ts'

/**
 * How long a batch may go on that is told to stop: what is rolled back is handled again by the next owner, and a rolling
 * restart stops many batches. Longer than a batch is meant to take by default, and short enough for a partition to be
 * taken over in three seconds. The fence still decides whether it may commit.
 */
const STOP_GRACE_MS = 1_000

/**
 * Runs the handlers of a batch in one transaction, one after another in offset order: they are not isolated from each
 * other there, and two that read the last unit would both take it.
 *
 * Neighbours whose subscriptions say that their effects are independent run side by side; a key's still one by one.
 *
 * @throws whatever the first handler threw; `trial.threw` has them all
 */
export async function runMessages<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  messages: readonly MessageRecord<Tx>[],
  trial: Trial<Tx>,
): Promise<void> {
  for (let at = 0; at < messages.length; ) {
    if (trial.signal.aborted) {
      const now = parts.clock.monotonic()
      trial.stopAt = Math.min(trial.stopAt, now + STOP_GRACE_MS)
      // All of it or nothing: the claims of what has not run yet are in the same transaction.
      if (now >= trial.stopAt) throw new TransientError('STOPPED', 'The batch was stopped; it is rolled back and read again.')
    }
    const end = trial.interleaves ? endOfNeighbours(messages, at) : at + 1
    if (end === at + 1) await runOne(parts, tx, held, messages.slice(at, end), trial)
    else await runSideBySide(parts, tx, held, messages.slice(at, end), trial)
    at = end
  }
}

/** @returns where the run of messages that may be interleaved ends; at least the next index */
export function endOfNeighbours<Tx>(messages: readonly MessageRecord<Tx>[], from: number): number {
  let end = from
  while (messages[end]?.routed.subscription.policy.interleaves === true) end++
  return Math.max(end, from + 1)
}

async function runOne<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  messages: readonly MessageRecord<Tx>[],
  trial: Trial<Tx>,
): Promise<void> {
  for (const each of messages) await runMessage(parts, tx, held, each, trial)
}

async function runSideBySide<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  messages: readonly MessageRecord<Tx>[],
  trial: Trial<Tx>,
): Promise<void> {
  trial.interleaved = true
  const lanes = new Map<string, Promise<void>>()
  const running = messages.map((each) => {
    const before = lanes.get(each.lane)
    const run =
      before === undefined ? runMessage(parts, tx, held, each, trial) : before.then(() => runMessage(parts, tx, held, each, trial))
    lanes.set(each.lane, run)
    return run
  })
  // All of them: nobody may still use the transaction when it is rolled back.
  const ended = await Promise.allSettled(running)
  for (const each of ended) if (each.status === 'rejected') throw each.reason
}

/** A failure is noted with whose it was: the rest of the batch is not charged with it. */
function runMessage<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  each: MessageRecord<Tx>,
  trial: Trial<Tx>,
): Promise<void> {
  const { message, subscription, inboxId } = each.routed
  const { group } = held
  trial.handlerRan = true
  const part = parts.database.part?.(tx, trial.traces)
  const own = part?.tx ?? tx
  trial.txs.push(own)
  parts.publisher.enter(tx, own, { id: message.id, correlationId: message.correlationId })
  parts.diagnostics.emit('delivery.started', { group, type: message.type, id: message.id, attempt: 1 })
  const run = { tx: own, group, inboxId, message, subscription, attempt: 1, signal: trial.signal }
  return withinPart(part, () => runHandler(parts, run)).catch((error: unknown) => {
    trial.threw.push({ of: each, error, spoiled: part?.spoiled ?? false })
    throw error
  })
}
