import { deadLetter } from '../failures/dead-letter.ts'
import { behindItsKey as keyParked, type Reason, reasonFor } from '../failures/reason.ts'
import type { Incident } from '../incident.ts'
import { type HeldPartition, placeOf } from './effect.ts'
import type { BatchRecord } from './lanes.ts'
import { keyOf, keyOfOne } from './parking.ts'
import type { ParkedMessage } from './parking-store.ts'
import type { Fate } from './policies/fate.ts'

/** A message's recorded failures, why the last one happened, and what becomes of it. */
export interface Failure {
  readonly attempts: number
  readonly reason: Reason
  readonly fate: Fate
}

/** It is due as soon as it is the first of its key. */
const waitsForItsTurn: Fate = { state: 'waiting', queued: true, delayMs: 0 }

/** A record that is kept instead of applied, and what is told of it. */
export interface Kept<Tx> {
  readonly of: BatchRecord<Tx>
  readonly message: ParkedMessage
  readonly incident?: Incident
}

/** Waits behind an earlier message of its key, whatever it failed by itself. */
export function behindItsKey<Tx>(held: HeldPartition, of: BatchRecord<Tx>, failure?: Failure): Kept<Tx> {
  return { of, message: parked(held, of, { attempts: 0, reason: keyParked, ...failure, fate: waitsForItsTurn }) }
}

/** Waits for its next attempt, or is dead; its key waits with it. */
export function failed<Tx>(held: HeldPartition, of: BatchRecord<Tx>, failure: Failure): Kept<Tx> {
  const message = parked(held, of, failure)
  const { fate, attempts, reason } = failure
  if (fate.state === 'waiting') return { of, message }
  const { type, id } = nameOf(of)
  const { group } = held
  const holdsItsKey = fate.queued && of.key !== null
  const dead = { group, place: placeOf(held), offset: of.record.offset, type, id, attempts, code: reason.code, holdsItsKey }
  return { of, message, incident: deadLetter(dead) }
}

/** Has no readable message: kept with its bytes, and in nobody's way. */
export function unreadable<Tx>(held: HeldPartition, of: BatchRecord<Tx>, code: string, reason: string): Kept<Tx> {
  const { record } = of
  // Our own reason may quote the record, so it stays in the row; a driver's tells of the batch around it, and what to do.
  const why = record.unreadable === undefined ? '' : `: ${record.unreadable.reason.replace(/\.+$/, '')}`
  const incident: Incident = {
    kind: 'unreadable',
    subject: subjectOf(held),
    message: `The record at ${held.topic}/${held.partition}/${record.offset} cannot be read (${code})${why}. Its bytes and the reason are kept as a dead letter of group "${held.group}", in trunkline.parked_message.`,
    details: { offset: String(record.offset), code },
  }
  return { of, message: parked(held, of, { ...notTried(of, code, reason), fate: { state: 'dead', queued: false, delayMs: 0 } }), incident }
}

/** A handled type in a schema that is not known here: its key waits for a build that knows it. */
export function schemaUnknown<Tx>(held: HeldPartition, of: BatchRecord<Tx>, reason: string): Kept<Tx> {
  return { of, message: parked(held, of, notTried(of, 'SCHEMA_UNKNOWN', reason)) }
}

/** A type that only another build of the group handles: its key waits for that build. */
export function handledElsewhere<Tx>(held: HeldPartition, of: BatchRecord<Tx>, name: string): Kept<Tx> {
  const reason = `This build of "${held.group}" has no handler for ${name}; another build of the group has.`
  return { of, message: parked(held, of, notTried(of, 'HANDLER_ELSEWHERE', reason)) }
}

/** What telemetry calls the record, and the name that a handler of it is found by, where it says one. */
export function nameOf<Tx>({ routed, record }: BatchRecord<Tx>): {
  readonly type: string
  readonly id: string
  readonly name: string | null
} {
  switch (routed.kind) {
    case 'message':
      return { type: routed.message.type, id: routed.message.id, name: routed.message.name }
    case 'unhandled':
      return { type: routed.envelope.type, id: routed.envelope.id, name: routed.name }
    case 'unknown schema':
      return { type: routed.type, id: routed.id, name: unversioned(routed.type) }
    case 'unreadable':
      return { type: routed.type, id: String(record.offset), name: null }
  }
}

/** @returns `null` for a foreign producer's type: only the schema behind its id says which message it is */
function unversioned(type: string): string | null {
  return /^(.+)\.v[1-9]\d{0,5}$/.exec(type)?.[1] ?? null
}

export function subjectOf(held: HeldPartition): string {
  return `${held.group} ${held.topic}/${held.partition}`
}

function notTried<Tx>(of: BatchRecord<Tx>, code: string, text: string): Failure {
  const { name, type } = nameOf(of)
  return { attempts: 0, reason: reasonFor(code, text, name ?? type), fate: waitsForItsTurn }
}

function parked<Tx>(held: HeldPartition, of: BatchRecord<Tx>, { attempts, reason, fate }: Failure): ParkedMessage {
  const { record, routed, key } = of
  const { inboxId } = routed
  const { type, name } = nameOf(of)
  return {
    group: held.group,
    inboxId,
    type,
    name,
    key: key === null ? keyOfOne(held.topic, inboxId) : keyOf(held, record, inboxId),
    attempts,
    reason,
    ...fate,
    place: placeOf(held),
    record,
  }
}
