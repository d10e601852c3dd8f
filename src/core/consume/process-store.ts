/** A process that consumes, as the others and operators see it. */
export interface ProcessRow {
  readonly id: string
  readonly service: string
  readonly host: string
  readonly pid: number
  readonly groups: readonly string[]
  /** Of those, the ones that a person paused and of which nothing runs any more. */
  readonly paused: readonly string[]
  /** The message names that it has handlers for, by group. */
  readonly handles: Readonly<Record<string, readonly string[]>>
}

/** Which processes are alive: each says so again and again. One that has no row, or an old one, is dead. */
export interface ProcessStore {
  /**
   * Says that the process is alive for so long, and what it has handlers for, and asks what people want of it; one
   * statement.
   *
   * @returns which of its groups are to be paused
   * @throws TransientError the database is unreachable
   */
  beat(row: ProcessRow, leaseMs: number): Promise<readonly string[]>

  /** Whether the process said so not too long ago, and has not let go since. */
  isAlive(id: string): Promise<boolean>

  /** Says that the process has let go of everything. */
  end(id: string): Promise<void>

  /** Forgets processes that have been dead for an hour. @returns how many */
  prune(): Promise<number>
}
