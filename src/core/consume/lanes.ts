import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { Routed } from './route.ts'

/** A record of a batch, what it turned out to be, and in whose line it stands. */
export interface BatchRecord<Tx> {
  readonly record: ConsumedRecord
  readonly routed: KnownRecord<Tx>
  /** Records of one lane wait for each other. */
  readonly lane: string
  /** What is parked when the record has to wait; `null` where it is a key of its own. */
  readonly key: Buffer | null
}

/** A record of which nothing more has to be asked. */
export type KnownRecord<Tx> = Exclude<Routed<Tx>, { kind: 'schema needed' }>

/** A record that a handler is waiting for. */
export interface MessageRecord<Tx> extends BatchRecord<Tx> {
  readonly routed: Extract<Routed<Tx>, { kind: 'message' }>
}

/**
 * Puts a record into its lane: that of its key, or one of its own where it has no key, cannot be read, or its
 * subscription asks for no order.
 */
export function inLane<Tx>(record: ConsumedRecord, routed: KnownRecord<Tx>): BatchRecord<Tx> {
  const { key } = record
  const alone = key === null || routed.kind === 'unreadable' || (routed.kind === 'message' && !routed.subscription.policy.ordered)
  if (alone || key === null) return { record, routed, lane: `#${record.offset}`, key: null }
  return { record, routed, lane: laneOf(key), key }
}

/** Any bytes can be a key; each gives one text. */
export function laneOf(key: Buffer): string {
  return key.toString('latin1')
}

export function isMessage<Tx>(each: BatchRecord<Tx>): each is MessageRecord<Tx> {
  return each.routed.kind === 'message'
}

/** The keys of a batch, each once. */
export function keysIn<Tx>(records: readonly BatchRecord<Tx>[]): readonly Buffer[] {
  const keys = new Map<string, Buffer>()
  for (const { lane, key } of records) if (key !== null) keys.set(lane, key)
  return [...keys.values()]
}

/** A batch is of messages that share a transaction, or of such that do not; what has no handler goes with either. */
export function sameMode<Tx>(batch: readonly BatchRecord<Tx>[]): {
  readonly batch: readonly BatchRecord<Tx>[]
  readonly mode: 'batch' | 'message'
} {
  const mode = batch.find(isMessage)?.routed.subscription.policy.transaction ?? 'batch'
  const end = batch.findIndex((each) => isMessage(each) && each.routed.subscription.policy.transaction !== mode)
  return { batch: end < 0 ? batch : batch.slice(0, end), mode }
}
