import { ContractError, isTrunklineError, messageOf } from '../../foundation/errors.ts'
import { inboxId, nameId } from '../../foundation/ids.ts'
import { HEADER_BYTES_MAX, HEADERS_MAX } from '../broker/header-bytes.ts'
import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import { decodePayload } from '../contract/codec.ts'
import { type ContractDefinition, type Message, typeOf } from '../contract/contract.ts'
import { dataFromJson } from '../contract/json-data.ts'
import type { WriterSchema } from '../contract/registry.ts'
import type { WriterSchemas } from '../contract/writer-schemas.ts'
import { writtenVersion } from '../contract/written-version.ts'
import type { Envelope } from '../envelope/envelope.ts'
import { framingOf, refuseSchemaHeader, schemaIdIn } from '../envelope/framing.ts'
import { fromHeaders } from '../envelope/headers.ts'
import { printable } from '../envelope/rules.ts'
import { isJsonType } from '../envelope/structured.ts'
import { NO_SLOT, slotOf } from '../inbox/slot.ts'
import { bareEnvelope, isBare, placeName } from './foreign-record.ts'
import type { Subscription } from './subscription.ts'

/** By what a group remembers a record, and where in the inbox. */
interface Remembered {
  readonly inboxId: string
  readonly slot: number
}

/** What a record turned out to be. */
export type Routed<Tx> =
  | (Remembered & { readonly kind: 'message'; readonly message: Message; readonly subscription: Subscription<Tx> })
  /** Nobody here handles the type; perhaps another build of the group does. */
  | (Remembered & { readonly kind: 'unhandled'; readonly name: string; readonly envelope: Envelope })
  /** No more can be said before the registry was asked for this schema. */
  | { readonly kind: 'schema needed'; readonly schemaId: number }
  /** The type is handled, but the schema it was written with is not known here. */
  | (Remembered & { readonly kind: 'unknown schema'; readonly type: string; readonly id: string; readonly reason: string })
  | (Remembered & { readonly kind: 'unreadable'; readonly type: string; readonly code: string; readonly reason: string })

/** What is looked into to find out. */
export interface Router<Tx> {
  readonly subscriptions: ReadonlyMap<string, Subscription<Tx>>
  /** Without a registry a value that names a schema id is unreadable. */
  readonly writerSchemas?: WriterSchemas | undefined
}

/**
 * Decides what a record is, in this order: no valid envelope, no handler, unknown schema, undecodable.
 *
 * It never throws: whatever bytes stand on a topic, they have a place to go.
 */
export function routeRecord<Tx>(record: ConsumedRecord, place: TopicPartition, router: Router<Tx>): Routed<Tx> {
  if (record.unreadable !== undefined)
    return { kind: 'unreadable', ...byPlace(place, record.offset), type: 'unknown', ...record.unreadable }
  let envelope: Envelope | undefined
  try {
    refuseHeaderFlood(record)
    refuseSchemaHeader(record.headers)
    if (router.writerSchemas === undefined || !isBare(record)) envelope = fromHeaders(record.headers, record.value, record.timestampMs)
  } catch (error) {
    return unreadable(byPlace(place, record.offset), 'unknown', error)
  }
  const known = envelope === undefined ? byPlace(place, record.offset) : byId(envelope)
  const type = envelope?.type ?? 'unknown'
  try {
    return routeValue(record, place, router, envelope, known)
  } catch (error) {
    if (!isTrunklineError(error, 'SCHEMA_UNKNOWN')) return unreadable(known, type, error)
    return { kind: 'unknown schema', ...known, type, id: envelope?.id ?? placeName(place, record.offset), reason: error.message }
  }
}

/**
 * Reads a record as a message of one contract, in whatever version it was written.
 *
 * @returns `undefined` for a message of another name
 * @throws ContractError it cannot be read
 */
export function readMessage(record: ConsumedRecord, definition: ContractDefinition): Message | undefined {
  const envelope = fromHeaders(record.headers, record.value, record.timestampMs)
  const named = versionedName(envelope.type)
  return named?.name === definition.name ? decode(envelope, record, definition, { ...named, writer: undefined }) : undefined
}

/** @param said what the record says about itself; `undefined` where only the schema of its value says anything */
function routeValue<Tx>(
  record: ConsumedRecord,
  place: TopicPartition,
  { subscriptions, writerSchemas }: Router<Tx>,
  said: Envelope | undefined,
  known: Remembered,
): Routed<Tx> {
  const named = said === undefined ? undefined : versionedName(said.type)
  // Nobody asks a registry for what nobody handles.
  if (said !== undefined && named !== undefined && !subscriptions.has(named.name))
    return { kind: 'unhandled', ...known, name: named.name, envelope: said }

  const schemaId = writerSchemas === undefined ? undefined : schemaIdIn(said === undefined ? record.value : said.data)
  const writer = schemaId === undefined ? undefined : writerSchemas?.get(schemaId)
  if (schemaId !== undefined && writer === undefined) return { kind: 'schema needed', schemaId }

  const envelope = said ?? (writer === undefined ? undefined : bareEnvelope(record, place, writer))
  const name = named?.name ?? writer?.name
  if (envelope === undefined || name === undefined) throw typeInvalid(envelope?.type ?? 'unknown')
  const subscription = subscriptions.get(name)
  if (subscription === undefined) return { kind: 'unhandled', ...known, name, envelope }
  const { definition } = subscription.contract
  const version = named?.version ?? (writer === undefined ? definition.version : writtenVersion(definition, writer).version)
  return { kind: 'message', ...known, subscription, message: decode(envelope, record, definition, { name, version, writer }) }
}

interface VersionedName {
  readonly name: string
  readonly version: number
}

interface Written extends VersionedName {
  readonly writer: WriterSchema | undefined
}

function decode(envelope: Envelope, record: ConsumedRecord, definition: ContractDefinition, written: Written): Message {
  const { name, version, writer } = written
  const { data } = envelope
  if (data === null) {
    throw new ContractError('VALUE_MISSING', `A ${envelope.type} without a value (a tombstone) has no data for its handler.`)
  }
  return {
    name,
    type: typeOf(name, version),
    id: envelope.id,
    source: envelope.source,
    time: new Date(envelope.time),
    key: record.key?.toString() ?? null,
    correlationId: envelope.correlationid,
    causationId: envelope.causationid,
    attributes: envelope.extensions,
    data: isJson(envelope, data) ? dataFromJson(definition, version, data) : decodePayload(definition, data, writer),
  }
}

/** A frame is believed before the content type: many producers write `application/json` whatever they send. */
function isJson({ datacontenttype }: Envelope, data: Buffer): boolean {
  return datacontenttype !== 'application/avro' && framingOf(data) === 'unknown' && isJsonType(datacontenttype)
}

function unreadable<Tx>(known: Remembered, type: string, error: unknown): Routed<Tx> {
  const code = isTrunklineError(error) ? error.code : 'UNREADABLE'
  return { kind: 'unreadable', ...known, type, code, reason: messageOf(error) }
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

function byId({ source, id }: Envelope): Remembered {
  return { inboxId: inboxId(source, id), slot: slotOf(id) }
}

/** A record that says nothing about itself is known by where it stands. */
function byPlace(place: TopicPartition, offset: bigint): Remembered {
  return { inboxId: nameId(`record/${placeName(place, offset)}`), slot: NO_SLOT }
}

/** @returns `undefined` where the type does not end in a version: a foreign producer's own */
function versionedName(type: string): VersionedName | undefined {
  const known = versionedNames.get(type)
  if (known !== undefined) return known
  const [, name, version] = /^(.+)\.v([1-9]\d{0,5})$/.exec(type) ?? []
  if (name === undefined) return undefined
  const named = { name, version: Number(version) }
  // A hostile topic could invent endless ones.
  if (versionedNames.size < VERSIONED_NAMES_MAX) versionedNames.set(type, named)
  return named
}

const VERSIONED_NAMES_MAX = 1_000
const versionedNames = new Map<string, VersionedName>()

function typeInvalid(type: string): ContractError {
  return new ContractError(
    'TYPE_INVALID',
    `"${printable(type)}" does not end in a version such as ".v1", and its value names no schema.`,
    {},
  )
}
