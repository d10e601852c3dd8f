import type { ConsumedRecord } from '../broker/log-consumer.ts'
import { type CrashLoopParts, chargeOf } from './crash-loop.ts'
import type { HeldPartition } from './effect.ts'
import { type BatchRecord, isMessage, type MessageRecord } from './lanes.ts'
import { settleEach } from './message-mode.ts'
import { type SettleParts, settleBatch } from './settle.ts'
import type { Solitude } from './solitude.ts'

export interface SuspectParts<Tx extends object> extends SettleParts<Tx>, CrashLoopParts<Tx> {
  /** Of everything that handles messages in this process. */
  readonly solitude: Solitude
}

/**
 * Settles one message that may have ended a process, with nothing else running here and a mark that names it; the one
 * that was alone when its process ended is set aside instead.
 *
 * @throws as `settleBatch`
 */
export async function settleSuspect<Tx extends object>(
  parts: SuspectParts<Tx>,
  held: HeldPartition,
  each: BatchRecord<Tx>,
  charged: bigint | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (isMessage(each) && each.record.offset === charged) return await charge(parts, held, each, signal)
  await parts.solitude.alone(async () => {
    await markBegun(parts, held, [each.record], true)
    const mode = isMessage(each) ? each.routed.subscription.policy.transaction : 'batch'
    await (mode === 'batch' ? settleBatch(parts, held, [each], mode, signal) : settleEach(parts, held, [each], signal))
  })
}

/**
 * Notes what is about to run, before anything of it does: that is what is found if this process dies.
 *
 * A fence that has fallen meanwhile says so when the batch is applied.
 */
export async function markBegun<Tx>(
  { positions, processId }: CrashLoopParts<Tx>,
  held: HeldPartition,
  records: readonly ConsumedRecord[],
  durable: boolean,
): Promise<void> {
  const last = records.at(-1)
  if (last !== undefined) await positions.mark(held, held.epoch, { to: last.offset + 1n, by: processId }, durable)
}

async function charge<Tx extends object>(
  parts: SuspectParts<Tx>,
  held: HeldPartition,
  each: MessageRecord<Tx>,
  signal: AbortSignal,
): Promise<void> {
  const { message, subscription } = each.routed
  const { group, topic, partition } = held
  const failure = chargeOf(subscription.policy, message.name)
  await settleBatch(parts, held, [each], 'batch', signal, { charged: { of: each, failure } })
  parts.diagnostics.emit('delivery.failed', { group, type: message.type, id: message.id, attempt: 1, reason: failure.reason.code })
  const incident = {
    kind: 'process_ended',
    subject: `${group} ${topic}/${partition}`,
    message: `A process of group "${group}" ended while it ran ${message.type} ${message.id} alone. The message is parked, and its retries run alone too.`,
    details: { id: message.id, offset: String(each.record.offset) },
  } as const
  // The message is kept by now, with its reason.
  await parts.incidents.record(incident).catch(() => undefined)
}
