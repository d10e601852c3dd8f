import type { Clock } from '../../foundation/clock.ts'
import { PermanentError } from '../../foundation/errors.ts'
import type { SchemaIds } from '../contract/schema-ids.ts'
import type { Database, TransactionHooks } from '../database/database.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import { AppendOrder } from './append-order.ts'
import type { OutboxRoom } from './outbox-room.ts'
import type { OutboxAppender, OutboxRow, ScheduledRow } from './outbox-store.ts'
import { type Cause, type Prepared, Preparing } from './preparing.ts'
import type { Publication } from './publication.ts'

/** Messages of one transaction, and their bytes: they are in memory until COMMIT, and leave in one statement. */
export const PUBLICATIONS_MAX = 10_000
export const PUBLICATION_BYTES_MAX = 64 * 1024 * 1024

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

/** What a transaction of ours will append just before COMMIT. */
interface OpenBuffer {
  readonly rows: Prepared[]
  bytes: number
  cause: Cause | undefined
  /** Of the pieces of its work, in the order in which they began, and by their faces. */
  readonly parts: OpenBuffer[]
  partsByFace: Map<object, OpenBuffer> | undefined
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
  readonly #preparing: Preparing
  readonly #buffers = new WeakMap<Tx, OpenBuffer>()
  readonly #callers = new AppendOrder<Tx>()

  constructor(parts: PublisherParts<Tx>) {
    this.#parts = parts
    this.#preparing = new Preparing(parts)
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
   * @throws PermanentError `TOO_MANY_PUBLICATIONS`, here or at COMMIT: the transaction cannot have so many, or so large ones
   * @throws PermanentError `SAVEPOINT_OPEN`: the caller stands beside an open savepoint; the transaction is lost
   * @throws TransientError, ConfigurationError `REGISTRY_…`, from the promise: the transaction cannot commit
   */
  publish(tx: Tx, publications: readonly Publication[]): Promise<void> {
    const buffer = this.#bufferOf(tx)
    const prepared = publications.map((publication) => this.#preparing.prepare(publication, buffer?.cause))
    this.#parts.database.checkPlace(tx)
    if (prepared.length === 0) return Promise.resolve()
    if (buffer === undefined) return this.#appendToCallers(tx, prepared)
    const bytes = bytesOf(prepared)
    refuseTooMany(buffer.rows.length + buffer.appendedRows + prepared.length, buffer.bytes + bytes)
    if (this.#parts.database.transactions === 'library') return this.#appendNow(tx, buffer, prepared)
    buffer.rows.push(...prepared)
    buffer.bytes += bytes
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
    whole.partsByFace ??= new Map()
    whole.partsByFace.set(part, buffer)
  }

  /** That of a piece is found through the transaction that it belongs to: in a WeakMap each would cost as much as its message. */
  #bufferOf(tx: Tx): OpenBuffer | undefined {
    const whole = this.#parts.database.wholeOf(tx)
    const buffer = whole === undefined ? undefined : this.#buffers.get(whole)
    return whole === tx ? buffer : buffer?.partsByFace?.get(tx)
  }

  /** The first message of a process has the outbox measured in its transaction; others may wait for the id of a schema. */
  #waits(tx: Tx): boolean {
    const buffer = this.#buffers.get(tx)
    if (buffer === undefined) return false
    const rows = rowsOf(buffer)
    return rows.length > 0 && (this.#parts.room?.known === false || missingIn(rows).length > 0)
  }

  #close(tx: Tx): OpenBuffer {
    const buffer = this.#buffers.get(tx)
    if (buffer === undefined) return openBuffer(undefined)
    this.#buffers.delete(tx)
    const rows = rowsOf(buffer)
    refuseTooMany(
      rows.length,
      buffer.parts.reduce((sum, { bytes }) => sum + bytes, buffer.bytes),
    )
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
    const buffer = this.#bufferOf(tx)
    if (buffer === undefined) return () => undefined
    const [rows, parts] = [buffer.rows.length, buffer.parts.length]
    return () => {
      buffer.bytes -= bytesOf(buffer.rows.splice(rows))
      buffer.parts.splice(parts)
    }
  }

  /** The insert leaves at once where nothing is missing: a caller may send its COMMIT right behind it. */
  #append(tx: Tx, prepared: readonly Prepared[], whose: 'ours' | 'callers'): Promise<string> {
    const { room, database } = this.#parts
    const missing = missingIn(prepared)
    const measured = room?.check(database.queryable(tx))
    if (missing.length === 0 && measured === undefined) return this.#insert(tx, prepared, whose)
    return Promise.all([...missing, measured]).then(() => this.#insert(tx, prepared, whose))
  }

  #insert(tx: Tx, prepared: readonly Prepared[], whose: 'ours' | 'callers'): Promise<string> {
    const { appender, diagnostics } = this.#parts
    const now: OutboxRow[] = []
    const later: ScheduledRow[] = []
    for (const { row, notBefore } of prepared) {
      diagnostics.emit('publish.appended', { id: row.id, topic: row.topic })
      if (notBefore === undefined) now.push(row)
      else later.push({ ...row, notBefore })
    }
    if (later.length === 0) return appender.append(tx, now, whose)
    if (now.length === 0) return appender.schedule(tx, later, whose)
    // The second statement is sent before the first is answered.
    return Promise.all([appender.append(tx, now, whose), appender.schedule(tx, later, whose)]).then(([transactionId]) => transactionId)
  }
}

function openBuffer(cause: Cause | undefined): OpenBuffer {
  return { rows: [], bytes: 0, cause, parts: [], partsByFace: undefined, appended: [], appendedRows: 0, waits: false }
}

/** Those of its pieces too. */
function rowsOf({ rows, parts }: OpenBuffer): Prepared[] {
  return parts.length === 0 ? rows : [...rows, ...parts.flatMap((part) => part.rows)]
}

function missingIn(prepared: readonly Prepared[]): readonly Promise<void>[] {
  return prepared.map(({ complete }) => complete).filter((complete) => complete !== undefined)
}

function bytesOf(prepared: readonly Prepared[]): number {
  let bytes = 0
  for (const { row } of prepared) bytes += (row.key?.length ?? 0) + (row.value?.length ?? 0) + row.headers.length
  return bytes
}

function refuseTooMany(messages: number, bytes: number): void {
  if (messages <= PUBLICATIONS_MAX && bytes <= PUBLICATION_BYTES_MAX) return
  throw new PermanentError(
    'TOO_MANY_PUBLICATIONS',
    `A transaction published more than ${PUBLICATIONS_MAX} messages, or than ${PUBLICATION_BYTES_MAX / 1_048_576} MiB of them. Split the work into several transactions.`,
  )
}
