import { Buffer, isUtf8 } from 'node:buffer'
import { ContractError, messageOf } from '../../foundation/errors.ts'
import { isJsonObject } from '../contract/avro.ts'
import { VALUE_BYTES_MAX } from '../contract/codec.ts'
import { isBase64 } from '../contract/json-data.ts'
import { parseJsonWithin } from '../contract/json-depth.ts'
import type { Envelope } from './envelope.ts'
import { checkEnvelope, countBytes, invalid, printable, timeOf } from './rules.ts'

const CONTENT_TYPE = 'content-type'
const STRUCTURED = 'application/cloudevents'
const JSON_FORMAT = 'application/cloudevents+json'
/** An event in JSON: its own level, and the data below. */
const DEPTH_MAX = 66

/** Whether a content type says that the value is a whole CloudEvent. */
export function isStructured(contentType: string): boolean {
  return contentType.toLowerCase().startsWith(STRUCTURED)
}

/**
 * Reads an envelope in CloudEvents' structured mode, in the JSON format, as foreign producers write it.
 *
 * The same attributes in the record's headers do not count. Where a name is there twice, the last one counts, as in
 * every JavaScript program.
 *
 * @returns `data` as JSON text with `datacontenttype` JSON, or the bytes of `data_base64`
 * @throws ContractError `ENVELOPE_MISSING`, `ENVELOPE_INVALID`: names what is wrong · `VALUE_TOO_LARGE`
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
export function fromStructured(contentType: string, value: Buffer | null, recordedAtMs: number | undefined): Envelope {
  if (mediaType(contentType) !== JSON_FORMAT) {
    const problem = `is "${printable(contentType)}", and of the structured mode only ${JSON_FORMAT} is read here`
    throw invalid(CONTENT_TYPE, problem, 'Let its producer write that, or the binary mode')
  }
  const event = parseEvent(value)
  const read = new Attributes(event)
  const id = read.demand('id')
  const specversion = read.demand('specversion')
  if (specversion !== '1.0') throw invalid('specversion', 'must be "1.0"', 'Write CloudEvents 1.0')
  const { data, datacontenttype } = dataOf(event, read.optional('datacontenttype'))
  const envelope: Envelope = {
    specversion,
    id,
    source: read.demand('source'),
    type: read.demand('type'),
    time: timeOf(read.optional('time') ?? undefined, recordedAtMs),
    datacontenttype,
    subject: read.optional('subject'),
    correlationid: read.optional('correlationid') ?? id,
    causationid: read.optional('causationid'),
    traceparent: read.optional('traceparent'),
    tracestate: read.optional('tracestate'),
    partitionkey: read.optional('partitionkey'),
    extensions: read.rest(),
    data,
  }
  checkEnvelope(envelope)
  return envelope
}

/** Takes the attributes out of an event one by one, and counts their bytes. */
class Attributes {
  readonly #event: Readonly<Record<string, unknown>>
  readonly #taken = new Set(['data', 'data_base64'])
  #bytes = 0

  constructor(event: Readonly<Record<string, unknown>>) {
    this.#event = event
  }

  demand(name: string): string {
    const value = this.optional(name)
    if (value !== null) return value
    throw new ContractError(
      'ENVELOPE_MISSING',
      `The record is no CloudEvent: its JSON has no attribute "${name}". Its producer must write CloudEvents 1.0.`,
      { attribute: name },
    )
  }

  /** @returns `null` for what is not there, and for a JSON null, which means the same */
  optional(name: string): string | null {
    this.#taken.add(name)
    // Not `event.name`: every object has a `constructor`.
    const value = Object.hasOwn(this.#event, name) ? this.#event[name] : null
    if (value === null) return null
    if (typeof value !== 'string') throw invalid(name, `must be a text, got ${shown(value)}`, 'Write it in quotes')
    return this.#counted(name, value)
  }

  #counted(name: string, text: string): string {
    this.#bytes = countBytes(name, Buffer.byteLength(text), this.#bytes)
    return text
  }

  rest(): Record<string, string> {
    const names = Object.keys(this.#event).filter((name) => !this.#taken.has(name))
    const extensions: Record<string, string> = Object.create(null)
    for (const name of names) {
      const value = this.#event[name]
      if (value !== null) extensions[name] = this.#counted(name, textOf(name, value))
    }
    return extensions
  }
}

/** Extensions may be booleans and integers of 32 bits; in a header they would be texts, so that is what they become. */
function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || (typeof value === 'number' && value === (value | 0))) return String(value)
  throw invalid(printable(name), `must be a text, a boolean or an integer, got ${shown(value)}`, 'Put it into the data')
}

function shown(value: unknown): string {
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

function parseEvent(value: Buffer | null): Readonly<Record<string, unknown>> {
  if (value === null)
    throw new ContractError('ENVELOPE_MISSING', 'The record says that its value is a CloudEvent, and it has no value.', {})
  if (value.length > VALUE_BYTES_MAX) {
    throw new ContractError('VALUE_TOO_LARGE', `A CloudEvent in JSON has ${value.length} bytes, at most ${VALUE_BYTES_MAX} are allowed.`, {
      bytes: value.length,
    })
  }
  if (!isUtf8(value)) throw invalid('the event', 'is not UTF-8', 'Write JSON in UTF-8')
  let event: unknown
  try {
    event = parseJsonWithin(value.toString(), DEPTH_MAX)
  } catch (error) {
    throw invalid('the event', `cannot be read: ${messageOf(error)}`, 'Write one JSON object')
  }
  if (!isJsonObject(event)) throw invalid('the event', 'is not a JSON object', 'Write one event a record')
  return event
}

function dataOf(event: Readonly<Record<string, unknown>>, declared: string | null): Pick<Envelope, 'data' | 'datacontenttype'> {
  const json = Object.hasOwn(event, 'data') ? event['data'] : undefined
  const base64 = Object.hasOwn(event, 'data_base64') ? event['data_base64'] : undefined
  const datacontenttype = declared ?? 'application/json'
  if (json !== undefined && base64 !== undefined) throw invalid('data', 'and "data_base64" are both there', 'Write one of them')
  if (base64 !== undefined) return { data: bytesOf(base64), datacontenttype }
  if (json === undefined || json === null) return { data: null, datacontenttype }
  if (isJsonType(datacontenttype)) return { data: Buffer.from(JSON.stringify(json)), datacontenttype }
  throw invalid('data', `is JSON, and "datacontenttype" says ${printable(datacontenttype)}`, 'Write other content as "data_base64"')
}

function bytesOf(base64: unknown): Buffer {
  if (typeof base64 === 'string' && isBase64(base64)) return Buffer.from(base64, 'base64')
  throw invalid('data_base64', 'is not base64', 'Encode the bytes as RFC 4648 says')
}

/** `application/json`, `text/json`, and whatever ends in `+json`, with or without parameters. */
export function isJsonType(contentType: string): boolean {
  const type = mediaType(contentType)
  return type === 'application/json' || type === 'text/json' || type.endsWith('+json')
}

function mediaType(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}
