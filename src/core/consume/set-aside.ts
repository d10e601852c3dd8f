import type { ConsumedRecord } from '../broker/log-consumer.ts'
import { reasonFor } from '../failures/reason.ts'
import type { Incident } from '../incident.ts'
import type { DeliverParts } from './deliver.ts'
import { type HeldPartition, placeOf } from './effect.ts'
import { applyOrKeep } from './keep.ts'
import { keyOf, keyOfOne } from './parking.ts'
import type { ParkedMessage } from './parking-store.ts'
import type { Routed } from './route.ts'

/** A record without a readable message: kept with its bytes, and in nobody's way. */
export async function keepUnreadable<Tx extends object>(
  parts: DeliverParts<Tx>,
  held: HeldPartition,
  record: ConsumedRecord,
  routed: Extract<Routed<Tx>, { kind: 'unreadable' }>,
): Promise<void> {
  const { inboxId, type, code, reason } = routed
  const key = keyOfOne(held.topic, inboxId)
  const message = { ...waiting(held, record, { inboxId, type, name: null }, code, reason), key, queued: false, state: 'dead' } as const
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
  const name = nameOf(type)
  // Keeping locks the key by itself, after the claim.
  const kept = await applyOrKeep(parts, held, { record, inboxId, keyed: false }, async (tx, _, keep) => {
    await keep(tx, waiting(held, record, { inboxId, type, name }, 'SCHEMA_UNKNOWN', reason))
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
      await keep(tx, waiting(held, record, { inboxId, type: envelope.type, name }, 'HANDLER_ELSEWHERE', reason))
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

interface Told {
  readonly inboxId: string
  readonly type: string
  readonly name: string | null
}

function waiting(held: HeldPartition, record: ConsumedRecord, told: Told, code: string, text: string): ParkedMessage {
  return {
    group: held.group,
    ...told,
    key: keyOf(held, record, told.inboxId),
    queued: true,
    state: 'waiting',
    attempts: 0,
    delayMs: 0,
    reason: reasonFor(code, text, told.name ?? told.type),
    place: placeOf(held),
    record,
  }
}

/** @returns `null` for a foreign producer's type: only the schema behind its id says which message it is */
function nameOf(type: string): string | null {
  return /^(.+)\.v[1-9]\d{0,5}$/.exec(type)?.[1] ?? null
}
