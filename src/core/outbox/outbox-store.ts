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

export interface PendingRow extends OutboxRow {
  readonly seq: bigint
  /** Milliseconds since the epoch, of the insert. */
  readonly createdAtMs: number
}

/** What a row counts for in limits of bytes: Kafka adds a few bytes a record and a header; 64 covers them. */
export function sizeOf(row: OutboxRow): number {
  return (row.key?.length ?? 0) + (row.value?.length ?? 0) + row.headers.length + 64
}

/** One owner's time in office. */
export interface Term {
  readonly owner: string
  readonly epoch: bigint
}

/** A partition, or a whole topic, that must wait; its rows stay in the table. */
export interface Blocked {
  readonly topic: string
  /** `undefined`: the whole topic. */
  readonly partition: number | undefined
  /** The topic's partition count; needed where `partition` is given. */
  readonly partitions: number
}

export interface Pass {
  readonly limit: number
  /** Of keys, values and headers together; the first row comes whatever its size. */
  readonly bytesMax: number
  /** Rows that were read and are not yet known to be gone. */
  readonly inFlight: readonly bigint[]
  readonly blocked: readonly Blocked[]
}

/** The write side of the outbox, inside somebody's transaction. */
export interface OutboxAppender<Tx> {
  /**
   * Appends rows in the order given, as one statement.
   *
   * @returns the number of the transaction on the server, known before COMMIT leaves
   * @throws TransientError the database is unreachable; the transaction is lost
   */
  append(tx: Tx, rows: readonly OutboxRow[]): Promise<string>
}

/**
 * The relay's side of the outbox: a row that is present is a message that is not yet published.
 *
 * There is one owner at a time, by a lease on the database's clock. Every read tells in its own snapshot
 * whether the lease is still mine, every write locks it.
 */
export interface OutboxStore {
  /** Takes the lease if nobody else holds it; an owner's new term ends its former one. @returns the new term; `undefined` while somebody else is in office */
  acquire(owner: string, leaseMs: number): Promise<Term | undefined>

  /** @returns whether the term still stands */
  renew(term: Term, leaseMs: number): Promise<boolean>

  /** Ends the term now, so that a successor need not wait for the lease to run out. */
  release(term: Term): Promise<void>

  /**
   * Reads the lowest rows that are neither in flight nor blocked, in `seq` order.
   *
   * @returns the rows, empty when there are none; `undefined` when the term is over
   */
  fetchPending(term: Term, pass: Pass): Promise<readonly PendingRow[] | undefined>

  /**
   * Deletes rows that Kafka acknowledged, by `seq` and `id`.
   *
   * @returns whether the term still stood; if not, nothing was deleted
   */
  remove(term: Term, rows: readonly PendingRow[]): Promise<boolean>

  /** @returns the partition count with which the topic's keys are hashed; `undefined` when nobody stored one */
  partitionsOf(topic: string): Promise<number | undefined>

  /** Stores the count unless one is stored. @returns the stored count */
  storePartitions(topic: string, partitions: number): Promise<number>

  /** Closes this term's own connections. */
  close(): Promise<void>
}

/** Opens the relay's own connections; whoever loses one opens anew and starts from the lowest row. */
export interface OutboxStoreFactory {
  /** `onLost` is called once when a connection breaks by itself. @throws TransientError the database is unreachable */
  open(onLost: (reason: Error) => void): Promise<OutboxStore>
}
