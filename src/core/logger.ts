/** What Trunkline asks of a logger; pino's fits, and so do most. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** A logger that adds these fields to each of its lines. */
  child(fields: object): Logger
  /** Where it exists, it saves the making of lines that nobody would see. */
  isLevelEnabled?(level: string): boolean
}
