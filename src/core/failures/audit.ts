/** What a person did to the state of a service. */
export interface AuditEntry {
  /** Who: the operating system's user, or whoever the caller says it was. */
  readonly actor: string
  /** The command and its verb: `failure redrive`, `outbox discard`, `group pause`. */
  readonly act: string
  /** What it was done to; everything done to one thing is found by the same text. */
  readonly subject: string
  /** Why, in that person's words; `null` where none was asked for. */
  readonly reason: string | null
  /** Facts, never a payload. More than 20 of them, or a text above 2,000 characters, is cut. */
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}

/** An entry as it was kept. */
export interface AuditRecord extends AuditEntry {
  readonly at: Date
}

/**
 * The record of people's acts, in the transaction of the act: it exists if and only if the act was committed.
 *
 * It is only ever added to.
 */
export interface AuditLog<Tx> {
  /** Adds the entries in their order; none is a no-op. */
  record(tx: Tx, entries: readonly AuditEntry[]): Promise<void>

  /** What was done to one subject, the latest first. @returns at most `limit` records; none where nothing was done */
  of(subject: string, limit: number): Promise<readonly AuditRecord[]>
}
