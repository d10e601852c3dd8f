import { ContractError } from '../../foundation/errors.ts'
import { type Check, compileCheck } from '../contract/check.ts'
import { parseStandalone } from '../contract/schema-parser.ts'
import type { Envelope } from './envelope.ts'
import { EventEnvelope } from './event-envelope.ts'
import { plainEnvelopes } from './plain-envelope.ts'

/** CloudEvents asks intermediaries to forward 64 KiB; a header is repeated on every record, so we keep it small. */
export const ATTRIBUTE_BYTES_MAX = 256
export const ATTRIBUTES_BYTES_MAX = 8 * 1024

const ATTRIBUTES = [
  'specversion',
  'id',
  'source',
  'type',
  'time',
  'datacontenttype',
  'subject',
  'correlationid',
  'causationid',
  'traceparent',
  'tracestate',
  'partitionkey',
] as const

const RESERVED: ReadonlySet<string> = new Set([...ATTRIBUTES, 'data', 'extensions'])
const EXTENSION = /^[a-z0-9]{1,20}$/
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

let schemaCheck: Check | undefined
let plain: ((envelope: object) => boolean) | undefined

/**
 * Checks a whole envelope: its Avro schema, then the rules that a schema cannot say. Run before a message is
 * published and after it is read.
 *
 * @throws ContractError `ENVELOPE_INVALID`: names the attribute
 */
export function checkEnvelope(envelope: Envelope): void {
  if (isPlainEnvelope(envelope)) return
  schemaCheck ??= compileCheck(parseStandalone(EventEnvelope, 'EventEnvelope'), invalid, 'schema and rules')
  schemaCheck(envelope)
  if (envelope.specversion !== '1.0') throw invalid('specversion', 'must be "1.0"', 'Write CloudEvents 1.0')
  for (const attribute of ['id', 'source', 'type', 'correlationid'] as const) {
    if (envelope[attribute] === '') throw invalid(attribute, 'must not be empty', 'Leave it out or give it a value')
  }
  if (!TIME.test(envelope.time) || Number.isNaN(Date.parse(envelope.time)))
    throw invalid('time', 'must be a time of RFC 3339', 'Write 2026-01-31T12:00:00Z')
  checkTexts(envelope)
}

/** Whether an envelope is valid at first sight; of one that is not, {@link checkEnvelope} says why, if it is not. */
export function isPlainEnvelope(envelope: Envelope): boolean {
  plain ??= plainEnvelopes(EventEnvelope, isExtension)
  return plain(envelope)
}

function isExtension(name: string): boolean {
  return EXTENSION.test(name) && !RESERVED.has(name)
}

export function invalid(attribute: string, problem: string, mend: string): ContractError {
  return new ContractError('ENVELOPE_INVALID', `The envelope is not valid: "${attribute}" ${problem}. ${mend}.`, { attribute })
}

/**
 * Counts one attribute as it stands in its header.
 *
 * @returns the bytes of all attributes so far
 * @throws ContractError `ENVELOPE_INVALID`: this one is too long, or all are
 */
export function countBytes(header: string, bytes: number, before: number): number {
  const limit = bytes > ATTRIBUTE_BYTES_MAX ? ATTRIBUTE_BYTES_MAX : ATTRIBUTES_BYTES_MAX
  const total = before + header.length + bytes
  if (limit === ATTRIBUTES_BYTES_MAX && total <= limit) return total
  const what = limit === ATTRIBUTE_BYTES_MAX ? `has ${bytes} bytes` : `makes it ${total} bytes of attributes`
  throw invalid(printable(header), `${what}, at most ${limit} are allowed`, 'Carry it in the data')
}

/** In UTC, as the envelope promises; finer than a millisecond is kept where it is UTC already. */
export function timeOf(time: string | undefined, recordedAtMs: number | undefined): string {
  if (time === undefined) {
    if (recordedAtMs === undefined)
      throw new ContractError('ENVELOPE_MISSING', 'The record has no header "ce_time". Its producer must write it.', { attribute: 'time' })
    return new Date(Math.max(0, recordedAtMs)).toISOString()
  }
  if (time.endsWith('Z')) return time
  const parsed = Date.parse(time)
  return Number.isNaN(parsed) ? time : new Date(parsed).toISOString()
}

/** A foreign name as it may stand in a log line. */
export function printable(name: string): string {
  return JSON.stringify(name.slice(0, 40)).slice(1, -1)
}

function checkTexts(envelope: Envelope): void {
  for (const attribute of ATTRIBUTES) {
    const value = envelope[attribute]
    if (value !== null) checkText(attribute, value)
  }
  for (const name of Object.keys(envelope.extensions)) {
    if (!isExtension(name)) {
      const mend = 'Use 1 to 20 lower-case letters and digits that CloudEvents does not reserve'
      throw invalid(printable(name), 'is not a name for an extension', mend)
    }
    checkText(name, envelope.extensions[name] ?? '')
  }
}

function checkText(attribute: string, value: string): void {
  if (/\p{Cc}/u.test(value)) throw invalid(attribute, 'has a control character, which CloudEvents forbids', 'Remove it')
}
