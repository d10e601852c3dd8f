import { constants } from 'node:os'
import { ConfigurationError, isTrunklineError, TransientError } from '../../foundation/errors.ts'

/** What the command line ends with; the list is part of its promise. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  /** The command, an option or the configuration is wrong. */
  usage: 2,
  /** A check found something. */
  findings: 3,
  /** Kafka, PostgreSQL or the schema registry cannot be reached. */
  unreachable: 4,
  /** As shells do: 127 for a command that is not there, 128 and its number for a signal. */
  notFound: 127,
  signal: 128,
} as const

/** The exit code that says what kind of error it was. */
export function exitCodeOf(error: unknown): number {
  if (isTrunklineError(error, 'INTERRUPTED')) return exitCodeOfSignal(error.details['signal'])
  if (error instanceof ConfigurationError) return exitCodes.usage
  if (error instanceof TransientError && /UNAVAILABLE|UNREACHABLE/.test(error.code)) return exitCodes.unreachable
  return exitCodes.failure
}

/** As shells count: 130 for SIGINT, 143 for SIGTERM. */
export function exitCodeOfSignal(signal: unknown): number {
  const number = Object.entries(constants.signals).find(([name]) => name === signal)?.[1]
  return exitCodes.signal + (number ?? constants.signals.SIGINT)
}

/** What a person reads of an error: of ours the message, which says what to do; of others also how to see more. */
export function shownError(error: unknown, debug: boolean): string {
  if (debug && error instanceof Error) return error.stack ?? error.message
  if (isTrunklineError(error)) return error.message
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return `${text}\nThis was not expected. Set DEBUG=trunkline to see where it comes from.`
}
