import type { Clock } from '../../foundation/clock.ts'
import { ContractError, PermanentError } from '../../foundation/errors.ts'
import { newMessageId } from '../../foundation/ids.ts'
import { encodePayload } from '../contract/codec.ts'
import { keyOf, typeOf } from '../contract/contract.ts'
import type { SchemaIds } from '../contract/schema-ids.ts'
import type { Database, TransactionHooks } from '../database/database.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { Envelope } from '../envelope/envelope.ts'
import { registryPrefix } from '../envelope/framing.ts'
import { ATTRIBUTE_BYTES_MAX } from '../envelope/rules.ts'
import { AppendOrder } from './append-order.ts'
import type { OutboxRoom } from './outbox-room.ts'
import type { OutboxAppender, OutboxRow, ScheduledRow } from './outbox-store.ts'
import type { Publication } from './publication.ts'
import { toOutboxRow } from './to-outbox-row.ts'

/** How far ahead a message may be scheduled. */
export const SCHEDULE_AHEAD_MAX_MS = 366 * 86_400_000
/** Messages of one transaction. */
export const PUBLICATIONS_MAX = 10_000

/** Stands before a value until its schema's id is known; the size of the value is then final already. */
const UNKNOWN_ID = registryPrefix(0)

/** What the message being handled says about whatever is published because of it. */
export interface Cause {
  readonly id: string
  readonly correlationId: string
}

export interface PublisherParts<Tx> {
  readonly database: Database<Tx>
  readonly appender: OutboxAppender<Tx>
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
  readonly service: string
  /** With a registry: by which ids it knows the schemas. Without one values name their schema by its fingerprint. */
  readonly schemaIds?: SchemaIds | undefined
  /** Whether the outbox takes more. Without it there is no limit. */
  readonly room?: OutboxRoom | undefined
  /** Called after a commit that published something. */
  readonly onPublished: () => void
}

/** A row, and what it still waits for: the registry's id of a schema that this process writes with for the first time. */
interface Prepared {
  readonly row: OutboxRow
  /** Where it is for later. */
  readonly notBefore: Date | undefined
  readonly complete?: Promise<void>
}

/** What a transaction of ours will append just before COMMIT. */
interface OpenBuffer {
  readonly rows: Prepared[]
  cause: Cause | undefined
  /** Of the pieces of its work, in the order in which they began. */
  readonly parts: OpenBuffer[]
  /** In a library's transaction rows are not kept here but appended at once, in order. */
  readonly appended: Promise<string>[]
  appendedRows: number
  /** One of them waits for something, so those behind it wait too. */
  waits: boolean
}

/**
 * Turns publications into outbox rows of a transaction.
 *
 * In a transaction of ours they are buffered and written by one statement, the last before COMMIT; in a caller's
 * transaction, and in a database library's, each call is one statement at once: of the former we never see the COMMIT,
 * of the latter we never see the savepoints.
 */
export class Publisher<Tx extends object> {
  readonly #parts: PublisherParts<Tx>
  readonly #source: string
  readonly #buffers = new WeakMap<Tx, OpenBuffer>()
  readonly #callers = new AppendOrder<Tx>()

  constructor(parts: PublisherParts<Tx>) {
    this.#parts = parts
    this.#source = `/${parts.service}`
  }

  /**
   * Runs `work` in one transaction and commits what it published with it.
   *
   * @throws as {@link Database.transaction}
   */
  async transaction<Result>(
    work: (tx: Tx) => Promise<Result>,
    options: { cause?: Cause } & Pick<TransactionHooks<Tx>, 'rerunsWhenUnknown' | 'ahead'> = {},
  ): Promise<Result> {
    let published = 0
    const hooks: TransactionHooks<Tx> = {
      beforeCommit: async (tx) => {
        const { rows, appended, appendedRows } = this.#close(tx)
        published = rows.length + appendedRows
        if (appended.length > 0) return (await Promise.all(appended)).at(-1)
        return published === 0 ? undefined : this.#append(tx, rows, 'ours')
      },
      lastWaits: (tx) => this.#waits(tx),
      onSavepoint: (tx) => this.#mark(tx),
      rerunsWhenUnknown: options.rerunsWhenUnknown ?? false,
      ...(options.ahead === undefined ? {} : { ahead: options.ahead }),
    }
    const result = await this.#parts.database.transaction(async (tx) => {
      this.#buffers.set(tx, openBuffer(options.cause))
      return work(tx)
    }, hooks)
    if (published > 0) this.#parts.onPublished()
    return result
  }

  /**
   * Publishes in `tx`: everything is checked and recorded before this returns; a caller's transaction also waits
   * for the insert. With a registry, the promise also waits for the ids of schemas that are written for the first
   * time; so does COMMIT, whether the promise was awaited or not.
   *
   * @throws ContractError the key, the size or `notBefore` does not fit; nothing was published
   * @throws TransientError `OUTBOX_FULL`, here or at COMMIT: as many messages wait as may; the transaction cannot commit
   * @throws PermanentError `SAVEPOINT_OPEN`: the caller stands beside an open savepoint; the transaction is lost
   * @throws TransientError, ConfigurationError `REGISTRY_…`, from the promise: the transaction cannot commit
   */
  publish(tx: Tx, publications: readonly Publication[]): Promise<void> {
    const buffer = this.#buffers.get(tx)
    const prepared = publications.map((publication) => this.#prepare(publication, buffer?.cause))
    this.#parts.database.checkPlace(tx)
    if (prepared.length === 0) return Promise.resolve()
    if (buffer === undefined) return this.#appendToCallers(tx, prepared)
    if (buffer.rows.length + buffer.appendedRows + prepared.length > PUBLICATIONS_MAX) throw tooMany()
    if (this.#parts.database.transactions === 'library') return this.#appendNow(tx, buffer, prepared)
    buffer.rows.push(...prepared)
    const missing = missingIn(prepared)
    return missing.length === 0 ? Promise.resolve() : Promise.all(missing).then(() => undefined)
  }

  /**
   * Gives a piece of the transaction's work a cause of its own. What the pieces publish leaves in the order in which
   * they began, whoever of them publishes first. A transaction that is one piece has it for itself.
   */
  enter(tx: Tx, part: Tx, cause: Cause): void {
    const whole = this.#buffers.get(tx)
    if (whole === undefined) return
    if (part === tx) {
      whole.cause = cause
      return
    }
    const buffer = openBuffer(cause)
    whole.parts.push(buffer)
    this.#buffers.set(part, buffer)
  }

  /** The first message of a process has the outbox measured in its transaction; others may wait for the id of a schema. */
  #waits(tx: Tx): boolean {
    const buffer = this.#buffers.get(tx)
    if (buffer === undefined) return false
    const rows = [...buffer.rows, ...buffer.parts.flatMap((part) => part.rows)]
    return rows.length > 0 && (this.#parts.room?.known === false || missingIn(rows).length > 0)
  }

  #close(tx: Tx): OpenBuffer {
    const buffer = this.#buffers.get(tx)
    if (buffer === undefined) return openBuffer(undefined)
    this.#buffers.delete(tx)
    const rows = [...buffer.rows, ...buffer.parts.flatMap((part) => part.rows)]
    if (rows.length > PUBLICATIONS_MAX) throw tooMany()
    return { ...buffer, rows }
  }

  /**
   * A library's savepoints are not seen from here: what is published inside one is written inside it, and goes with it.
   *
   * Only where an earlier message waits, for its schema's id or for the outbox to be measured, this one waits too: messages
   * of a key keep their order.
   */
  #appendNow(tx: Tx, buffer: OpenBuffer, prepared: readonly Prepared[]): Promise<void> {
    const waits = missingIn(prepared).length > 0 || this.#parts.room?.known === false
    const append = (): Promise<string> => this.#append(tx, prepared, 'ours')
    const appended = buffer.waits ? Promise.allSettled(buffer.appended).then(append) : append()
    // Whether it was awaited or not, COMMIT waits for it and fails with it.
    appended.catch(() => undefined)
    buffer.appended.push(appended)
    buffer.appendedRows += prepared.length
    buffer.waits ||= waits
    return appended.then(() => undefined)
  }

  #appendToCallers(tx: Tx, prepared: readonly Prepared[]): Promise<void> {
    const waits = missingIn(prepared).length > 0 || this.#parts.room?.known === false
    return this.#callers.run(tx, waits, () => this.#append(tx, prepared, 'callers')).then(() => undefined)
  }

  /** A savepoint that rolls back takes with it what was published inside, and the pieces of work that began there. */
  #mark(tx: Tx): () => void {
    const buffer = this.#buffers.get(tx)
    const rows = buffer?.rows.length ?? 0
    const parts = buffer?.parts.length ?? 0
    return () => {
      buffer?.rows.splice(rows)
      buffer?.parts.splice(parts)
    }
  }

  /** The insert leaves at once where nothing is missing: a caller may send its COMMIT right behind it. */
  #append(tx: Tx, prepared: readonly Prepared[], whose: 'ours' | 'callers'): Promise<string> {
    const { room, database } = this.#parts
    const waitsFor = [...missingIn(prepared), ...[room?.check(database.queryable(tx)) ?? []].flat()]
    return waitsFor.length === 0 ? this.#insert(tx, prepared, whose) : Promise.all(waitsFor).then(() => this.#insert(tx, prepared, whose))
  }

  async #insert(tx: Tx, prepared: readonly Prepared[], whose: 'ours' | 'callers'): Promise<string> {
    const { appender, diagnostics } = this.#parts
    const now: OutboxRow[] = []
    const later: ScheduledRow[] = []
    for (const { row, notBefore } of prepared) {
      diagnostics.emit('publish.appended', { id: row.id, topic: row.topic })
      if (notBefore === undefined) now.push(row)
      else later.push({ ...row, notBefore })
    }
    // The last statement is sent before the first is answered.
    const appended = now.length > 0 ? [appender.append(tx, now, whose)] : []
    const scheduled = later.length > 0 ? [appender.schedule(tx, later, whose)] : []
    const [transactionId] = await Promise.all([...appended, ...scheduled])
    return transactionId ?? ''
  }

  #prepare(publication: Publication, cause: Cause | undefined): Prepared {
    const { message, attributes = {} } = publication
    const { definition } = message
    const id = newMessageId()
    const topic = publication.topic ?? definition.topic
    const { schemaIds } = this.#parts
    const framing = schemaIds === undefined ? undefined : (schemaIds.prefixOf(definition, topic) ?? UNKNOWN_ID)
    const key = publication.key ?? keyOf(definition, message.data)
    const envelope: Envelope = {
      specversion: '1.0',
      id,
      source: this.#source,
      type: typeOf(definition.name, definition.version),
      time: new Date(this.#parts.clock.now()).toISOString(),
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
    const notBefore = laterThan(this.#parts.clock.now(), publication.notBefore)
    if (schemaIds === undefined || framing !== UNKNOWN_ID) return { row, notBefore }
    const complete = schemaIds.load(definition, topic).then((prefix) => void prefix.copy(row.value ?? prefix))
    // It is awaited before the insert, by then perhaps too late to be called handled.
    complete.catch(() => undefined)
    return { row, notBefore, complete }
  }
}

function openBuffer(cause: Cause | undefined): OpenBuffer {
  return { rows: [], cause, parts: [], appended: [], appendedRows: 0, waits: false }
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

function missingIn(prepared: readonly Prepared[]): readonly Promise<void>[] {
  return prepared.flatMap(({ complete }) => complete ?? [])
}

/** An attribute is shorter than a key may be; a key that does not fit is in the record itself. */
function subjectOf(key: string | null): string | null {
  return key !== null && Buffer.byteLength(key) <= ATTRIBUTE_BYTES_MAX ? key : null
}

function tooMany(): PermanentError {
  return new PermanentError(
    'TOO_MANY_PUBLICATIONS',
    `A transaction published more than ${PUBLICATIONS_MAX} messages. Split the work into several transactions.`,
  )
}
