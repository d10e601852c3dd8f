import { isUtf8 } from 'node:buffer'
import { ContractError } from '../../foundation/errors.ts'
import type { HeaderPair } from '../broker/log-producer.ts'
import type { Envelope } from './envelope.ts'
import { checkEnvelope, countBytes, invalid, printable, timeOf } from './rules.ts'
import { fromStructured, isStructured } from './structured.ts'

const PREFIX = 'ce_'
const CONTENT_TYPE = 'content-type'
const DEFAULT_CONTENT_TYPE = 'application/avro'
/** In header order; `datacontenttype` is Kafka's own `content-type`. */
export const OPTIONAL_ATTRIBUTES = ['subject', 'causationid', 'traceparent', 'tracestate', 'partitionkey'] as const

const SPEC_VERSION: HeaderPair = ['ce_specversion', Buffer.from('1.0')]
const AVRO: HeaderPair = [CONTENT_TYPE, Buffer.from(DEFAULT_CONTENT_TYPE)]

/**
 * The headers of an envelope in CloudEvents' binary mode for Kafka; its data is the record's value.
 *
 * @throws ContractError `ENVELOPE_INVALID`: names the attribute; nothing was made
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
 */
export function toHeaders(envelope: Envelope): HeaderPair[] {
  checkEnvelope(envelope)
  const headers: HeaderPair[] = [
    SPEC_VERSION,
    ['ce_id', Buffer.from(envelope.id)],
    ['ce_source', Buffer.from(envelope.source)],
    ['ce_type', Buffer.from(envelope.type)],
    ['ce_time', Buffer.from(envelope.time)],
    envelope.datacontenttype === DEFAULT_CONTENT_TYPE ? AVRO : [CONTENT_TYPE, Buffer.from(envelope.datacontenttype)],
    ['ce_correlationid', Buffer.from(envelope.correlationid)],
  ]
  for (const attribute of OPTIONAL_ATTRIBUTES) {
    const value = envelope[attribute]
    if (value !== null) headers.push([PREFIX + attribute, Buffer.from(value)])
  }
  for (const name of Object.keys(envelope.extensions)) headers.push([PREFIX + name, Buffer.from(envelope.extensions[name] ?? '')])
  let total = 0
  for (const [name, value] of headers) total = countBytes(name, value.length, total)
  return headers
}

/**
 * Reads an envelope from a record's headers and value. Headers that are not CloudEvents' are left alone. Where the
 * content type says that the value is the whole event (structured mode), it is read from there.
 *
 * A foreign producer may leave out what CloudEvents does not ask for: the record's own time stands in for `time`,
 * the id for `correlationid`, Avro for `content-type`.
 *
 * @param recordedAtMs when the record was written, in milliseconds since the epoch
 * @throws ContractError `ENVELOPE_MISSING`: this is no CloudEvent · `ENVELOPE_INVALID`: names the attribute
 */
export function fromHeaders(headers: readonly HeaderPair[], value: Buffer | null, recordedAtMs?: number): Envelope {
  const { own, extensions } = readAttributes(headers)
  const contentType = own[CONTENT_TYPE_SLOT]
  if (contentType !== undefined && contentType !== DEFAULT_CONTENT_TYPE && isStructured(contentType))
    return fromStructured(contentType, value, recordedAtMs)
  if (required(own, 'specversion') !== '1.0') throw invalid('specversion', 'must be "1.0"', 'Write CloudEvents 1.0')
  const id = required(own, 'id')
  const envelope: Envelope = {
    specversion: '1.0',
    id,
    source: required(own, 'source'),
    type: required(own, 'type'),
    time: timeOf(own[Slot.time], recordedAtMs),
    datacontenttype: contentTypeOf(contentType, own[Slot.datacontenttype]),
    subject: own[Slot.subject] ?? null,
    correlationid: own[Slot.correlationid] ?? id,
    causationid: own[Slot.causationid] ?? null,
    traceparent: own[Slot.traceparent] ?? null,
    tracestate: own[Slot.tracestate] ?? null,
    partitionkey: own[Slot.partitionkey] ?? null,
    extensions,
    data: value,
  }
  checkEnvelope(envelope)
  return envelope
}

/** Where each attribute with a field of its own is kept while headers are read: a list is quicker than a Map. */
const Slot = {
  specversion: 0,
  id: 1,
  source: 2,
  type: 3,
  time: 4,
  datacontenttype: 5,
  subject: 6,
  correlationid: 7,
  causationid: 8,
  traceparent: 9,
  tracestate: 10,
  partitionkey: 11,
} as const

const CONTENT_TYPE_SLOT = 12

const SLOTS: ReadonlyMap<string, number> = new Map([
  ...Object.entries(Slot).map(([attribute, slot]): [string, number] => [PREFIX + attribute, slot]),
  [CONTENT_TYPE, CONTENT_TYPE_SLOT],
])

/** Without a prototype, as every other, so that an extension named `constructor` is only a text. */
const NO_EXTENSIONS: Readonly<Record<string, string>> = Object.freeze(Object.create(null))

const EMPTY: readonly undefined[] = [...SLOTS].map(() => undefined)

interface Attributes {
  readonly own: readonly (string | undefined)[]
  readonly extensions: Readonly<Record<string, string>>
}

function readAttributes(headers: readonly HeaderPair[]): Attributes {
  const own: (string | undefined)[] = EMPTY.slice()
  let extensions: Record<string, string> | undefined
  let total = 0
  for (const [name, value] of headers) {
    const slot = SLOTS.get(name)
    if (slot === undefined && !name.startsWith(PREFIX)) continue
    total = countBytes(name, value.length, total)
    const text = textOf(name, value)
    if (slot === undefined) extensions = withExtension(extensions, name, text)
    else if (own[slot] === undefined) own[slot] = text
    else throw twice(name)
  }
  return { own, extensions: extensions ?? NO_EXTENSIONS }
}

/** CloudEvents' own SDK for JavaScript writes the attribute beside the header that stands for it. */
function contentTypeOf(header: string | undefined, attribute: string | undefined): string {
  if (header !== undefined && attribute !== undefined && header !== attribute)
    throw invalid('datacontenttype', `is not what the header "${CONTENT_TYPE}" says`, 'Write one of them')
  return header ?? attribute ?? DEFAULT_CONTENT_TYPE
}

function withExtension(known: Record<string, string> | undefined, header: string, text: string): Record<string, string> {
  const extensions: Record<string, string> = known ?? Object.create(null)
  const name = header.slice(PREFIX.length)
  if (extensions[name] !== undefined) throw twice(header)
  extensions[name] = text
  return extensions
}

function twice(header: string): ContractError {
  return invalid(printable(header), 'is there twice', 'Write each attribute once')
}

function textOf(header: string, value: Buffer): string {
  const text = value.toString()
  // A replacement character is there either because it was written, or because the bytes are no UTF-8.
  if (text.includes('\uFFFD') && !isUtf8(value)) throw invalid(printable(header), 'is not UTF-8', 'Write headers in UTF-8')
  return text
}

function required(own: readonly (string | undefined)[], attribute: 'specversion' | 'id' | 'source' | 'type'): string {
  const value = own[Slot[attribute]]
  if (value !== undefined) return value
  throw new ContractError(
    'ENVELOPE_MISSING',
    `The record is no CloudEvent: it has no header "ce_${attribute}". Its producer must write the binary mode of CloudEvents 1.0.`,
    { attribute },
  )
}
