import { ConflictError } from '../../foundation/errors.ts'
import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { InboxStore } from '../inbox/inbox-store.ts'
import type { TransactionalIncidentLog } from '../incident.ts'
import type { Cause, Publisher } from '../outbox/publish.ts'
import type { ParkingStore } from './parking-store.ts'
import type { GroupPartition, PositionStore } from './position-store.ts'

export interface EffectParts<Tx extends object> {
  readonly publisher: Publisher<Tx>
  readonly positions: PositionStore<Tx>
  readonly inbox: InboxStore<Tx>
  readonly parking: ParkingStore<Tx>
  readonly incidents: TransactionalIncidentLog<Tx>
  readonly diagnostics: BackboneDiagnostics
}

/** A partition that this member holds: its epoch, and the next offset that it may settle. */
export interface HeldPartition extends GroupPartition {
  readonly epoch: bigint
  next: bigint
}

export interface EffectOf {
  readonly record: ConsumedRecord
  /** Claimed with the effect; `undefined` where nothing is done that could be done twice. */
  readonly inboxId: string | undefined
  /** Whether the record's key can be parked; a record without a key, or an unreadable one, is a lane of its own. */
  readonly keyed: boolean
  readonly cause?: Cause
}

/** What the rest of the effect needs to know about the message. */
export interface Claimed {
  /** An earlier message of its key waits for a retry, so this one must queue up behind it. */
  readonly keyIsParked: boolean
}

/**
 * One effect transaction: fence → claim → look for the parked key → `then` → outgoing → COMMIT.
 *
 * @returns what `then` returned; `undefined` when the message was settled before and `then` did not run
 * @throws ConflictError `POSITION_FENCED`: the partition is somebody else's now; nothing was changed
 */
export async function applyEffect<Tx extends object, Result>(
  parts: EffectParts<Tx>,
  held: HeldPartition,
  effect: EffectOf,
  then: (tx: Tx, claimed: Claimed) => Promise<Result>,
): Promise<Result | undefined> {
  const { record, inboxId } = effect
  const to = record.offset + 1n
  let used: Tx | undefined
  const work = async (tx: Tx): Promise<Result | undefined> => {
    used = tx
    // Three statements in one round trip. Their order is what counts: the look-up must not share the claim's
    // snapshot, or a key that was parked in between would be missed and overtaken.
    const fenced = parts.positions.advance(tx, held, held.epoch, held.next, to)
    const claimed = parts.inbox.claim(tx, held.group, inboxId === undefined ? [] : [inboxId])
    const parked = lookForParkedKey(parts, tx, held, effect)
    const [moved, fresh, keyIsParked] = await allDone(fenced, claimed, parked)
    if (!moved) throw positionFenced(held)
    if (inboxId !== undefined && !fresh.has(inboxId)) {
      parts.diagnostics.emit('delivery.duplicate', { ...placeOf(held), offset: record.offset })
      return undefined
    }
    const result = await then(tx, { keyIsParked })
    parts.diagnostics.emit('delivery.committing', { ...placeOf(held), offset: record.offset })
    return result
  }
  const result = await parts.publisher.transaction(work, {
    rerunsWhenUnknown: true,
    ...(effect.cause === undefined ? {} : { cause: effect.cause }),
  })
  held.next = to
  if (used !== undefined) parts.incidents.announce(used)
  return result
}

async function lookForParkedKey<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  effect: EffectOf,
): Promise<boolean> {
  const { key } = effect.record
  if (!effect.keyed || key === null) return false
  return (await parts.parking.lockParked(tx, held, [key])).length > 0
}

/** Like `Promise.all`, but no statement is left running when another failed. */
async function allDone<A, B, C>(a: Promise<A>, b: Promise<B>, c: Promise<C>): Promise<[A, B, C]> {
  await Promise.allSettled([a, b, c])
  return Promise.all([a, b, c])
}

export function placeOf(held: GroupPartition): { group: string; topic: string; partition: number } {
  return { group: held.group, topic: held.topic, partition: held.partition }
}

function positionFenced(held: HeldPartition): ConflictError {
  return new ConflictError(
    'POSITION_FENCED',
    `Group "${held.group}" no longer holds ${held.topic}/${held.partition} at offset ${held.next}: another member took it, or the database was set back. The position is read again.`,
    { ...placeOf(held), epoch: String(held.epoch), offset: String(held.next) },
  )
}
