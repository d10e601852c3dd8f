/** The ids that a group has settled: applied, parked, dead or discarded. */
export interface InboxStore<Tx> {
  /**
   * Claims ids for a group inside the effect transaction.
   *
   * @returns those that are new; an id that is missing from the answer is settled and must be skipped
   */
  claim(tx: Tx, group: string, ids: readonly string[]): Promise<ReadonlySet<string>>
}
