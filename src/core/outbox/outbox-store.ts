import type { LogRecord } from '../broker/log-producer.ts'

/** A message on its way from `publish` to its topic: the wire form, and what the relay needs to route it. */
export interface OutboxRow {
  /** The envelope's id. */
  readonly id: string
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Packed by `packHeaders`. */
  readonly headers: Buffer
  /** Kafka's positive murmur2 of the key, or of the id where there is no key: modulo the topic's partitions it is the partition. */
  readonly keyHash: number
  /** `bucketOf(topic, key)`. */
  readonly bucket: number
}

/** A message for later. */
export interface ScheduledRow extends OutboxRow {
  readonly notBefore: Date
}

/** A row of the outbox, and the record that is appended for it, whose time is that of the insert. */
export interface PendingRow extends LogRecord, Pick<OutboxRow, 'id' | 'topic' | 'keyHash'> {
  readonly seq: bigint
  /** What it counts for in limits of bytes: its key, value and headers, and {@link ROW_OVERHEAD}. */
  readonly size: number
  /** Its place among the rows in flight while it is one of them: what `InFlight` writes there. */
  inFlightAt?: number | undefined
  /**
   * Its memory is used for other rows from now on: nobody reads its id, key, value or headers any more, nor views of
   * them that were handed out. Whoever has read rows releases each when it is gone from the table, or left there.
   */
  release(): void
}

/** Kafka adds a few bytes a record and a header; these cover them. */
export const ROW_OVERHEAD = 64

/** One owner's time in office. */
export interface Term {
  readonly owner: string
  readonly epoch: bigint
}

/** What came of asking for the lease. */
export interface Acquisition {
  /** `undefined` while somebody else is in office. */
  readonly term: Term | undefined
  /** For how long that lease still lasts, unless it is renewed. */
  readonly heldForMs: number
}

/** A topic, or one partition of it. */
export interface Section {
  readonly topic: string
  /** `undefined`: the whole topic. */
  readonly partition: number | undefined
  /** The topic's partition count; needed where `partition` is given. */
  readonly partitions: number
}

/** One read of the outbox: which rows it may show. */
export interface Pass {
  /** Rows above this number … */
  readonly after: bigint
  /** … and up to this one: what a pass costs stays bounded, however many rows it has to leave out. */
  readonly upTo: bigint
  readonly limit: number
  /** Of keys, values and headers together; the first row comes whatever its size. */
  readonly bytesMax: number
  /** Rows that were read and are not yet known to be gone. */
  readonly inFlight: readonly bigint[]
  /** It is given up when nothing of it has come for so long: the lease must be renewed, and rows that are not vacuumed may be many. */
  readonly withinMs: number
  /** Only rows of these; `undefined`: of all. */
  readonly only: readonly Section[] | undefined
  readonly without: readonly Section[]
  /** Keys that are held; a row without a key is left out by `inFlight`. */
  readonly held: readonly { readonly topic: string; readonly key: Buffer }[]
  /** Transactions that the reader assumes to be running still. */
  readonly assumedRunning: readonly bigint[]
  /** Name the running transactions below this number. */
  readonly namesRunningBelow: bigint | undefined
}

/** What a pass saw, all of it in one snapshot. */
export interface PassResult {
  /** In `seq` order. */
  readonly rows: readonly PendingRow[]
  /** Whether the limits cut the rows short; if not, they are all there are up to `upTo`. */
  readonly limited: boolean
  /** The last number that anybody took. Read in the same statement, so no row of the snapshot is above it. */
  readonly lastNumber: bigint
  /** Every transaction below is decided: what it wrote is in the snapshot, or never will be. */
  readonly oldestRunning: bigint
  /** Whether every transaction of `assumedRunning` still runs. */
  readonly assumptionHolds: boolean
  /** The running transactions below `namesRunningBelow`. */
  readonly running: readonly bigint[]
}

/** Whether there is news, without reading a row. */
export interface Look {
  /** The last number that anybody took: without a new one there is no new row. */
  readonly lastNumber: bigint
  /** In how many milliseconds the next message for later is due, 0 when one is already; `undefined` when there is none. */
  readonly dueInMs: number | undefined
}

/** A key whose first message Kafka refused; `key: null`: a message that holds up nobody but itself. */
export interface Hold {
  readonly topic: string
  readonly key: Buffer | null
  readonly headSeq: bigint
  readonly headId: string
  readonly reasonCode: string
  readonly reason: string
}

export interface StoredHold extends Hold {
  /** What a person asked for. */
  readonly request: 'redrive' | 'discard' | undefined
}

/** What waits, and who is in the way. */
export interface Backlog {
  /** Counted up to a limit; `pendingAtLeast` when it was met. */
  readonly pending: number
  readonly pendingAtLeast: boolean
  /** Of the lowest row; `undefined` when nothing waits. */
  readonly oldestMs: number | undefined
  /** Published for later; an estimate of the server's. */
  readonly scheduled: number
  /** Deleted and not vacuumed yet; an estimate of the server's. */
  readonly deadRows: number
  /** The write transaction that has been open for longest, where one is open for longer than 250 ms and may be seen. */
  readonly oldestWriter: OpenWriter | undefined
}

export interface OpenWriter {
  readonly pid: number
  readonly application: string
  readonly openMs: number
}

/** The write side of the outbox, inside somebody's transaction. */
export interface OutboxAppender<Tx> {
  /**
   * Appends rows in the order given, as one statement.
   *
   * @param whose `'callers'`: nobody here saw the transaction begin, so the statement itself makes sure that it stands in one
   * @returns the number of the transaction on the server, known before COMMIT leaves
   * @throws PermanentError `TRANSACTION_NEEDED`: there is no transaction, or it has ended; nothing was appended
   * @throws TransientError the database is unreachable; the transaction is lost
   */
  append(tx: Tx, rows: readonly OutboxRow[], whose: 'ours' | 'callers'): Promise<string>

  /** Keeps rows for later; each gets its place in the outbox when it is due. @returns, @throws as `append` */
  schedule(tx: Tx, rows: readonly ScheduledRow[], whose: 'ours' | 'callers'): Promise<string>
}

/**
 * The relay's side of the outbox: a row that is present is a message that is not yet published.
 *
 * There is one owner at a time, by a lease on the database's clock. Every read tells in its own snapshot
 * whether the lease is still mine, every write locks it and is one statement. What comes back `undefined`,
 * or `false`, means that the term is over, and that nothing was done. A write that throws a TransientError
 * `DATABASE_FULL` did nothing either, and the term stands.
 */
export interface OutboxStore {
  /** Takes the lease if nobody else holds it; an owner's new term ends its former one. */
  acquire(owner: string, leaseMs: number): Promise<Acquisition>

  /** @param floor no row up to this number is left; kept for whoever asks how much waits. @returns whether the term still stands */
  renew(term: Term, leaseMs: number, floor: bigint): Promise<boolean>

  /** Ends the term now, so that a successor need not wait for the lease to run out, and tells the stand-bys. */
  release(term: Term): Promise<void>

  /** Reads the lowest rows that the pass may show; the caller releases each of them. @throws TransientError `STATEMENT_TOO_SLOW` it was given up after `pass.withinMs`: look through less */
  fetchPending(term: Term, pass: Pass): Promise<PassResult | undefined>

  /** As a pass, but only looks for news. @throws TransientError `STATEMENT_TOO_SLOW` it was given up after `withinMs` */
  look(term: Term, withinMs: number): Promise<Look | undefined>

  /**
   * Deletes rows that Kafka acknowledged, by `seq` and `id`. A crash of the server may take it back; then they are sent again.
   *
   * @returns the number of the transaction that deleted them
   */
  remove(term: Term, rows: readonly PendingRow[]): Promise<bigint | undefined>

  /** Makes room in the archive for the days to come, and drops what is old enough; a no-op where nothing is archived. */
  tendArchive(): Promise<void>

  /** @returns the number of a transaction that began after this was called */
  newTransactionId(): Promise<bigint>

  /** All keys that are held, and what people ask to be done with them. */
  holds(term: Term): Promise<readonly StoredHold[] | undefined>

  /** Those of which somebody asks something, at most 1,000: the others come when these are done. */
  requests(term: Term): Promise<readonly StoredHold[] | undefined>

  /** Remembers that a key is held; a key that is held already stays as it is. */
  hold(term: Term, hold: Hold): Promise<boolean>

  /** Forgets a hold. With `discard` its first message moves out of the outbox, whole, in the same statement. */
  unhold(term: Term, hold: StoredHold, act: 'redrive' | 'discard'): Promise<boolean>

  /** Moves messages that are due into the outbox, at most `limit`. @returns how many; and in how many milliseconds the next one is due, where there is one */
  moveDue(term: Term, limit: number): Promise<{ readonly moved: number; readonly nextInMs: number | undefined } | undefined>

  /** The partition count with which the topic's keys are hashed. Where none is stored, `actual` is. */
  partitionsOf(term: Term, topic: string, actual: number): Promise<number | undefined>

  /**
   * Counts what waits above `floor`, below which no row is left.
   *
   * @throws TransientError `STATEMENT_TOO_SLOW` it was given up after `withinMs`
   */
  readBacklog(floor: bigint, withinMs: number): Promise<Backlog>

  /** Whether calls from other processes reach this one: behind a transaction pooler they do not. Answers within two seconds. */
  hears(): Promise<boolean>

  /** Closes this term's own connections. */
  close(): Promise<void>
}

export interface OutboxStoreEvents {
  /** A connection broke by itself; called once or more. */
  readonly onLost: (reason: Error) => void
  /** Somebody published. */
  readonly onCalled: () => void
  /** The owner left office. */
  readonly onVacant: () => void
}

/** Opens the relay's own connections; whoever loses one opens anew and starts from the lowest row. */
export interface OutboxStoreFactory {
  /** @throws TransientError the database is unreachable */
  open(events: OutboxStoreEvents): Promise<OutboxStore>
}
