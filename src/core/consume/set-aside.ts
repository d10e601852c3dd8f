import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { DeliverParts } from './deliver.ts'
import { applyEffect, type HeldPartition, placeOf } from './effect.ts'
import type { ParkedMessage } from './parking-store.ts'
import type { Routed } from './route.ts'

/** A record without a readable message: kept with its bytes, and in nobody's way. */
export async function keepUnreadable<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: Extract<Routed<Tx>, { kind: 'unreadable' }>,
): Promise<void> {
  const { inboxId, code, reason } = routed
  const kept = await applyEffect(parts, held, { record, inboxId, keyed: false }, async (tx) => {
    await parts.parking.park(tx, {
      group: held.group,
      inboxId,
      key: null,
      state: 'dead',
      attempts: 0,
      reasonCode: code,
      reason,
      place: placeOf(held),
      record,
    })
    await parts.incidents.recordIn(tx, {
      kind: 'unreadable',
      subject: `${held.group} ${held.topic}/${held.partition}`,
      message: `The record at ${held.topic}/${held.partition}/${record.offset} cannot be read (${code}): ${reason} Its bytes are kept as a dead letter of group "${held.group}".`,
      details: { offset: String(record.offset), code },
    })
    return true
  })
  if (kept === true) parts.diagnostics.emit('delivery.unreadable', { ...placeOf(held), offset: record.offset, reason: code })
}

/** A handled type in a schema that is not known here: its key waits for a build that knows it. */
export async function parkUnknownSchema<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: Extract<Routed<Tx>, { kind: 'unknown schema' }>,
): Promise<void> {
  const { inboxId, envelope, reason } = routed
  const kept = await applyEffect(parts, held, { record, inboxId, keyed: true }, async (tx) => {
    await parts.parking.park(tx, waiting(held, record, inboxId, 'SCHEMA_UNKNOWN', reason))
    return true
  })
  if (kept === true) {
    parts.diagnostics.emit('delivery.parked', {
      group: held.group,
      type: envelope.type,
      id: envelope.id,
      state: 'waiting',
      reason: 'SCHEMA_UNKNOWN',
    })
  }
}

/**
 * A type without a handler here. If another build of the group handles it, its key waits for that build;
 * otherwise it is nobody's business and is passed over, loudly the first time.
 */
export async function passOver<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: Extract<Routed<Tx>, { kind: 'unhandled' }>,
  firstOfItsName: boolean,
): Promise<void> {
  const { inboxId, name, envelope } = routed
  // Not claimed: a message that was passed over is not settled, a later build may still want it.
  const outcome = await applyEffect(parts, held, { record, inboxId: undefined, keyed: true }, async (tx) => {
    if (await parts.parking.handledByGroup(tx, held.group, name)) {
      const fresh = await parts.inbox.claim(tx, held.group, [inboxId])
      if (!fresh.has(inboxId)) return 'settled'
      const reason = `This build of "${held.group}" has no handler for ${name}; another build of the group has.`
      await parts.parking.park(tx, waiting(held, record, inboxId, 'HANDLER_ELSEWHERE', reason))
      return 'parked'
    }
    if (firstOfItsName) {
      await parts.incidents.recordIn(tx, {
        kind: 'type_unhandled',
        subject: `${held.group} ${name}`,
        message: `Group "${held.group}" reads topic "${held.topic}" but has no handler for ${name}; its messages are passed over.`,
        details: { topic: held.topic, name },
      })
    }
    return 'skipped'
  })
  if (outcome === 'skipped') parts.diagnostics.emit('delivery.skipped', { group: held.group, type: envelope.type, topic: held.topic })
  if (outcome === 'parked') {
    parts.diagnostics.emit('delivery.parked', {
      group: held.group,
      type: envelope.type,
      id: envelope.id,
      state: 'waiting',
      reason: 'HANDLER_ELSEWHERE',
    })
  }
}

function waiting(held: HeldPartition, record: ConsumedRecord, inboxId: string, reasonCode: string, reason: string): ParkedMessage {
  const key = record.key === null ? null : { group: held.group, topic: held.topic, key: record.key }
  return { group: held.group, inboxId, key, state: 'waiting', attempts: 0, reasonCode, reason, place: placeOf(held), record }
}
