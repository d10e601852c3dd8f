import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { Incident } from '../incident.ts'
import type { DeliverParts } from './deliver.ts'
import { type HeldPartition, placeOf } from './effect.ts'
import { applyOrKeep } from './keep.ts'
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
  const message = { ...waiting(held, record, inboxId, code, reason), key: null, state: 'dead' } as const
  const kept = await applyOrKeep(parts, held, { record, inboxId, keyed: false }, async (tx, _, keep) => {
    await keep(tx, message, unreadable(held, record, code))
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
  const { inboxId, type, id, reason } = routed
  // Keeping locks the key by itself, after the claim.
  const kept = await applyOrKeep(parts, held, { record, inboxId, keyed: false }, async (tx, _, keep) => {
    await keep(tx, waiting(held, record, inboxId, 'SCHEMA_UNKNOWN', reason))
    return true
  })
  if (kept === true) {
    parts.diagnostics.emit('delivery.parked', {
      group: held.group,
      type,
      id,
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
  // Not claimed: a message that was passed over is not settled, a later build may still want it. Nor is its key
  // looked for: a parked key is locked after the claim, by whoever keeps the message.
  const outcome = await applyOrKeep(parts, held, { record, inboxId: undefined, keyed: false }, async (tx, _, keep) => {
    if ((await parts.parking.handledByGroup(tx, held.group, [name])).has(name)) {
      const fresh = await parts.inbox.claim(tx, held.group, [inboxId])
      if (!fresh.has(inboxId)) return 'settled'
      const reason = `This build of "${held.group}" has no handler for ${name}; another build of the group has.`
      await keep(tx, waiting(held, record, inboxId, 'HANDLER_ELSEWHERE', reason))
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

/** Our own reason may quote the record, so it stays in the row; a driver's tells of the batch around it, and what to do. */
function unreadable(held: HeldPartition, record: ConsumedRecord, code: string): Incident {
  const why = record.unreadable === undefined ? '' : `: ${record.unreadable.reason.replace(/\.+$/, '')}`
  return {
    kind: 'unreadable',
    subject: `${held.group} ${held.topic}/${held.partition}`,
    message: `The record at ${held.topic}/${held.partition}/${record.offset} cannot be read (${code})${why}. Its bytes and the reason are kept as a dead letter of group "${held.group}", in trunkline.parked_message.`,
    details: { offset: String(record.offset), code },
  }
}

function waiting(held: HeldPartition, record: ConsumedRecord, inboxId: string, reasonCode: string, reason: string): ParkedMessage {
  const key = record.key === null ? null : { group: held.group, topic: held.topic, key: record.key }
  return { group: held.group, inboxId, key, state: 'waiting', attempts: 0, reasonCode, reason, place: placeOf(held), record }
}
