/** How one part is doing, in a word for people. */
export interface PartHealth {
  readonly ready: boolean
  readonly state: string
}

/**
 * Whether to restart the process (`live`) and whether to send it work (`ready`).
 *
 * `live` never depends on Kafka or PostgreSQL: restarting a service does not mend them.
 */
export interface Health {
  readonly live: boolean
  readonly ready: boolean
  readonly parts: Readonly<Record<string, PartHealth>>
}
