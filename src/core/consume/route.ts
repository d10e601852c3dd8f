import { ContractError, isTrunklineError, messageOf } from '../../foundation/errors.ts'
import { inboxId, nameId } from '../../foundation/ids.ts'
import { HEADER_BYTES_MAX, HEADERS_MAX } from '../broker/header-bytes.ts'
import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import { decodePayload } from '../contract/codec.ts'
import type { Message } from '../contract/contract.ts'
import type { Envelope } from '../envelope/envelope.ts'
import { fromHeaders } from '../envelope/headers.ts'
import type { Subscription } from './subscription.ts'

/** What a record turned out to be. */
export type Routed<Tx> =
  | { readonly kind: 'message'; readonly inboxId: string; readonly message: Message; readonly subscription: Subscription<Tx> }
  /** Nobody here handles the type; perhaps another build of the group does. */
  | { readonly kind: 'unhandled'; readonly inboxId: string; readonly name: string; readonly envelope: Envelope }
  /** The type is handled, but the schema it was written with is not known here. */
  | { readonly kind: 'unknown schema'; readonly inboxId: string; readonly envelope: Envelope; readonly reason: string }
  | { readonly kind: 'unreadable'; readonly inboxId: string; readonly type: string; readonly code: string; readonly reason: string }

/**
 * Decides what a record is, in this order: no valid envelope, no handler, unknown schema, undecodable.
 *
 * It never throws: whatever bytes stand on a topic, they have a place to go.
 */
export function routeRecord<Tx>(
  record: ConsumedRecord,
  place: TopicPartition,
  subscriptions: ReadonlyMap<string, Subscription<Tx>>,
): Routed<Tx> {
  if (record.unreadable !== undefined)
    return { kind: 'unreadable', inboxId: recordId(place, record.offset), type: 'unknown', ...record.unreadable }
  let envelope: Envelope
  try {
    refuseHeaderFlood(record)
    envelope = fromHeaders(record.headers, record.value, record.timestampMs)
  } catch (error) {
    return unreadable(recordId(place, record.offset), 'unknown', error)
  }
  const id = inboxId(envelope.source, envelope.id)
  const name = nameOfType(envelope.type)
  if (name === undefined)
    return unreadable(id, envelope.type, new ContractError('TYPE_INVALID', `"${envelope.type}" does not end in a version such as ".v1".`))
  const subscription = subscriptions.get(name)
  if (subscription === undefined) return { kind: 'unhandled', inboxId: id, name, envelope }
  try {
    return { kind: 'message', inboxId: id, subscription, message: decode(envelope, name, record, subscription) }
  } catch (error) {
    if (isTrunklineError(error, 'SCHEMA_UNKNOWN')) return { kind: 'unknown schema', inboxId: id, envelope, reason: error.message }
    return unreadable(id, envelope.type, error)
  }
}

function decode<Tx>(envelope: Envelope, name: string, record: ConsumedRecord, subscription: Subscription<Tx>): Message {
  if (envelope.data === null) {
    throw new ContractError('VALUE_MISSING', `A ${envelope.type} without a value (a tombstone) has no data for its handler.`)
  }
  return {
    name,
    type: envelope.type,
    id: envelope.id,
    source: envelope.source,
    time: new Date(envelope.time),
    key: record.key === null ? null : record.key.toString(),
    correlationId: envelope.correlationid,
    causationId: envelope.causationid,
    attributes: envelope.extensions,
    data: decodePayload(subscription.contract.definition, envelope.data),
  }
}

function unreadable<Tx>(id: string, type: string, error: unknown): Routed<Tx> {
  const code = isTrunklineError(error) ? error.code : 'UNREADABLE'
  return { kind: 'unreadable', inboxId: id, type, code, reason: messageOf(error) }
}

/** Kafka has no limit; a record beyond ours is nobody's message. */
function refuseHeaderFlood({ headers }: ConsumedRecord): void {
  const bytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (headers.length <= HEADERS_MAX && bytes <= HEADER_BYTES_MAX) return
  throw new ContractError(
    'HEADERS_TOO_LARGE',
    `The record has more than ${HEADERS_MAX} headers or ${HEADER_BYTES_MAX} bytes of them. Its producer must carry that in the value.`,
  )
}

/** A record that says nothing about itself is known by where it stands. */
function recordId(place: TopicPartition, offset: bigint): string {
  return nameId(`record/${place.topic}/${place.partition}/${offset}`)
}

function nameOfType(type: string): string | undefined {
  return /^(.+)\.v\d+$/.exec(type)?.[1]
}
