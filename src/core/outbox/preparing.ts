import type { Clock } from '../../foundation/clock.ts'
import { ContractError } from '../../foundation/errors.ts'
import { newMessageId } from '../../foundation/ids.ts'
import { encodePayload } from '../contract/codec.ts'
import { keyOf, typeOf } from '../contract/contract.ts'
import type { SchemaIds } from '../contract/schema-ids.ts'
import type { Envelope } from '../envelope/envelope.ts'
import { registryPrefix } from '../envelope/framing.ts'
import { ATTRIBUTE_BYTES_MAX } from '../envelope/rules.ts'
import type { OutboxRow } from './outbox-store.ts'
import type { Publication } from './publication.ts'
import { toOutboxRow } from './to-outbox-row.ts'

/** How far ahead a message may be scheduled. */
export const SCHEDULE_AHEAD_MAX_MS = 366 * 86_400_000

/** Stands before a value until its schema's id is known; the size of the value is then final already. */
const UNKNOWN_ID = registryPrefix(0)

/** What the message being handled says about whatever is published because of it. */
export interface Cause {
  readonly id: string
  readonly correlationId: string
}

/** A row, and what it still waits for: the registry's id of a schema that this process writes with for the first time. */
export interface Prepared {
  readonly row: OutboxRow
  /** Where it is for later. */
  readonly notBefore: Date | undefined
  readonly complete?: Promise<void>
}

export interface PreparingParts {
  readonly clock: Clock
  readonly service: string
  /** With a registry: by which ids it knows the schemas. Without one values name their schema by its fingerprint. */
  readonly schemaIds?: SchemaIds | undefined
}

/** Makes of a publication the row of the outbox: id, time, cause and key, encoded once. */
export class Preparing {
  readonly #parts: PreparingParts
  readonly #source: string
  /** Of the last message, and in words: what is published together has one time. */
  #time = { ms: Number.NaN, text: '' }

  constructor(parts: PreparingParts) {
    this.#parts = parts
    this.#source = `/${parts.service}`
  }

  /** @throws ContractError the key, the size or `notBefore` does not fit */
  prepare(publication: Publication, cause: Cause | undefined): Prepared {
    const { message, attributes = {} } = publication
    const { definition } = message
    const id = newMessageId()
    const nowMs = this.#parts.clock.now()
    const topic = publication.topic ?? definition.topic
    const { schemaIds } = this.#parts
    const framing = schemaIds === undefined ? undefined : (schemaIds.prefixOf(definition, topic) ?? UNKNOWN_ID)
    const key = publication.key ?? keyOf(definition, message.data)
    const envelope: Envelope = {
      specversion: '1.0',
      id,
      source: this.#source,
      type: typeOf(definition.name, definition.version),
      time: this.#timeOf(nowMs),
      datacontenttype: 'application/avro',
      subject: subjectOf(key),
      correlationid: publication.correlationId ?? cause?.correlationId ?? id,
      causationid: publication.causationId ?? cause?.id ?? null,
      traceparent: null,
      tracestate: null,
      partitionkey: null,
      extensions: attributes,
      data: encodePayload(definition, message.data, framing),
    }
    const row = toOutboxRow(envelope, topic, key)
    const notBefore = laterThan(nowMs, publication.notBefore)
    if (schemaIds === undefined || framing !== UNKNOWN_ID) return { row, notBefore }
    const complete = schemaIds.load(definition, topic).then((prefix) => void prefix.copy(row.value ?? prefix))
    // It is awaited before the insert, by then perhaps too late to be called handled.
    complete.catch(() => undefined)
    return { row, notBefore, complete }
  }

  #timeOf(ms: number): string {
    if (ms !== this.#time.ms) this.#time = { ms, text: new Date(ms).toISOString() }
    return this.#time.text
  }
}

/** @returns the time when it is one, and lies ahead */
function laterThan(nowMs: number, notBefore: Date | undefined): Date | undefined {
  if (notBefore === undefined) return undefined
  const aheadMs = notBefore.getTime() - nowMs
  if (aheadMs <= SCHEDULE_AHEAD_MAX_MS) return aheadMs > 0 ? notBefore : undefined
  throw new ContractError(
    'NOT_BEFORE_INVALID',
    `notBefore must be a valid date, at most ${SCHEDULE_AHEAD_MAX_MS / 86_400_000} days ahead. Keep what is further away in a table of your own.`,
  )
}

/** An attribute is shorter than a key may be; a key that does not fit is in the record itself. */
function subjectOf(key: string | null): string | null {
  return key !== null && Buffer.byteLength(key) <= ATTRIBUTE_BYTES_MAX ? key : null
}
