/** Calls relays of other processes after a commit that published something. */
export interface OutboxBell {
  /** Says that the outbox has new rows. It never waits and never fails: a call that is lost is made good by polling. */
  ring(): void

  /** Says what it was about to say, and closes its connection, where it has one. */
  close(): Promise<void>
}
