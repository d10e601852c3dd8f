import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { errorName } from '../../foundation/errors.ts'
import type { ConsumedRecord } from '../broker/log-consumer.ts'
import { behindItsKey, reasonOf } from '../failures/reason.ts'
import type { Incident } from '../incident.ts'
import { type EffectOf, type EffectParts, type HeldPartition, placeOf } from './effect.ts'
import { applyOrKeep } from './keep.ts'
import { keyOf } from './parking.ts'
import type { ParkedMessage } from './parking-store.ts'
import { type PipelineParts, runHandler } from './pipeline.ts'
import { reactionTo } from './retry.ts'
import type { Routed } from './route.ts'

/** Reruns after a conflict, before it counts as a failure. */
const CONFLICTS_MAX = 20

export interface DeliverParts<Tx extends object> extends EffectParts<Tx>, PipelineParts<Tx> {
  readonly clock: Clock
}

type RoutedMessage<Tx> = Extract<Routed<Tx>, { kind: 'message' }>

/**
 * Applies one message once; what cannot be applied is kept, and its key waits.
 *
 * It returns when the message is settled: applied, queued behind its parked key, dead, or settled before.
 *
 * @throws ConflictError `POSITION_FENCED` nothing was changed
 * @throws TransientError the infrastructure failed, not the message; nothing was changed and no attempt is spent
 */
export async function deliver<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: RoutedMessage<Tx>,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0
  let conflicts = 0
  while (true) {
    let handlerRan = false
    try {
      const onStart = (): void => {
        handlerRan = true
      }
      await attempt(parts, held, record, routed, { attempt: failures + 1, signal, onStart })
      return
    } catch (error) {
      const reaction = reactionTo(error, handlerRan)
      if (reaction === 'fenced' || reaction === 'unavailable') throw error
      // A handler that was told to stop did not fail.
      if (signal.aborted && reaction !== 'permanent') throw error
      if (reaction === 'conflict' && ++conflicts <= CONFLICTS_MAX) {
        await parts.clock.sleep(backoffMs(conflicts, { minMs: 1, maxMs: 100, jitter: 1 }), signal)
        continue
      }
      failures++
      reportFailure(parts, held, routed, failures, error)
      const exhausted = reaction === 'permanent' || failures > routed.subscription.policy.inlineRetries
      if (exhausted) return keepDead(parts, held, record, routed, failures, error)
    }
  }
}

async function attempt<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: RoutedMessage<Tx>,
  run: { attempt: number; signal: AbortSignal; onStart: () => void },
): Promise<void> {
  const { message, subscription, inboxId } = routed
  const seen = { group: held.group, type: message.type, id: message.id }
  const outcome = await applyOrKeep(parts, held, effectOf(record, routed), async (tx, { keyIsParked }, keep) => {
    if (keyIsParked) {
      await keep(tx, parked(held, record, routed, { state: 'waiting', attempts: 0, reason: behindItsKey }))
      return 'parked'
    }
    run.onStart()
    parts.diagnostics.emit('delivery.started', { ...seen, attempt: run.attempt })
    await runHandler(parts, { tx, group: held.group, inboxId, message, subscription, attempt: run.attempt, signal: run.signal })
    return 'applied'
  })
  if (outcome === 'applied') {
    parts.diagnostics.emit('delivery.applied', { ...seen, ...placeOf(held), offset: record.offset, publishedAt: message.time.getTime() })
  } else if (outcome === 'parked') {
    parts.diagnostics.emit('delivery.parked', { ...seen, state: 'waiting', reason: 'KEY_PARKED' })
  }
}

/** In one commit: position, claim, the parked key and the message at the head of its queue, which holds the key. */
async function keepDead<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: RoutedMessage<Tx>,
  failures: number,
  error: unknown,
): Promise<void> {
  const reason = reasonOf(error, routed.message.name)
  const { code } = reason
  const kept = await applyOrKeep(parts, held, effectOf(record, routed), async (tx, { keyIsParked }, keep) => {
    const state = keyIsParked ? 'waiting' : 'dead'
    const incident = state === 'dead' ? deadLetter(held, record, routed, failures, code) : undefined
    await keep(tx, parked(held, record, routed, { state, attempts: failures, reason }), incident)
    return state
  })
  if (kept === undefined) return
  const { message } = routed
  parts.diagnostics.emit('delivery.parked', { group: held.group, type: message.type, id: message.id, state: kept, reason: code })
}

function effectOf<Tx>(record: ConsumedRecord, routed: RoutedMessage<Tx>): EffectOf {
  const { message, inboxId } = routed
  return { record, inboxId, keyed: true, cause: { id: message.id, correlationId: message.correlationId } }
}

function parked<Tx>(
  held: HeldPartition,
  record: ConsumedRecord,
  routed: RoutedMessage<Tx>,
  fate: Pick<ParkedMessage, 'state' | 'attempts' | 'reason'>,
): ParkedMessage {
  const { inboxId, message } = routed
  const { type, name } = message
  const key = keyOf(held, record, inboxId)
  const { group } = held
  return { group, inboxId, type, name, key, queued: true, delayMs: 0, place: placeOf(held), record, ...fate }
}

function deadLetter<Tx>(held: HeldPartition, record: ConsumedRecord, routed: RoutedMessage<Tx>, failures: number, code: string): Incident {
  return {
    kind: 'dead_letter',
    subject: `${held.group} ${held.topic}/${held.partition}`,
    message: `${routed.message.type} ${routed.message.id} is a dead letter of group "${held.group}" after ${failures} attempts (${code}). Later messages of its key wait behind it.`,
    details: { id: routed.message.id, offset: String(record.offset), attempts: failures, code },
  }
}

function reportFailure<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  routed: RoutedMessage<Tx>,
  attempt: number,
  error: unknown,
): void {
  const { message } = routed
  parts.diagnostics.emit('delivery.failed', {
    group: held.group,
    type: message.type,
    id: message.id,
    attempt,
    reason: errorName(error),
  })
}
