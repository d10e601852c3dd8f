/** What can be skipped, reset, refused or lost; each leaves one durable record per episode. */
export type IncidentKind =
  | 'topic_missing'
  | 'topic_partitions_grew'
  | 'topic_partitions_shrank'
  | 'message_refused'
  | 'topic_refused'
  | 'row_overlooked'
  | 'archive_untended'
  | 'type_unhandled'
  | 'position_below_log_start'
  | 'position_above_log_end'
  | 'topic_recreated'
  | 'dead_letter'
  | 'unreadable'
  | 'partition_stuck'
  | 'kept_in_part'
  | 'parking_full'
  | 'process_ended'
  | 'saga_stuck'
  | 'saga_timer_failed'
  | 'saga_definition_missing'

export interface Incident {
  readonly kind: IncidentKind
  /** What it is about: a topic, `topic/partition`, a group, a saga instance. */
  readonly subject: string
  readonly message: string
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}

/** Keeps incidents where people and alerts find them; each is also a diagnostic and a log line. */
export interface IncidentLog {
  /** @throws TransientError the database is unreachable; nothing was recorded */
  record(incident: Incident): Promise<void>

  /** As `record`, unless the newest record of its kind and subject has the same details: what lasts is told once, whoever finds it. */
  recordNews(incident: Incident): Promise<void>
}

/** The same, inside a transaction: the record exists if and only if what it tells of was committed. */
export interface TransactionalIncidentLog<Tx> extends IncidentLog {
  recordIn(tx: Tx, incident: Incident): Promise<void>

  /** Makes diagnostics and log lines of what was recorded in `tx`. To be called when it is known to be committed. */
  announce(tx: Tx): void
}
