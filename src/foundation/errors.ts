/** Facts about an error, for logs and for programs; never a payload, never a secret. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/**
 * The common base of everything Trunkline throws on purpose.
 *
 * There is one subclass per *reaction* and one `code` per *cause*. The message says what happened,
 * why, and what to do.
 */
export class TrunklineError extends Error {
  /** Recognises our errors even when two copies of the package are loaded. */
  readonly trunkline = true
  readonly code: string
  readonly details: ErrorDetails

  constructor(code: string, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    this.details = details
  }
}

/** Fix the configuration and restart. */
export class ConfigurationError extends TrunklineError {}

/** Never retry: the same input fails again. A handler may throw it; the message becomes a dead letter. */
export class PermanentError extends TrunklineError {}

/** A message does not fit its contract. */
export class ContractError extends PermanentError {}

/** Somebody else was first: reload and retry now. */
export class ConflictError extends TrunklineError {}

/** Retry later: nothing was changed. */
export class TransientError extends TrunklineError {}

/** It may have happened: look (`backbone.outcomeOf(error)`) before you retry. */
export class UnknownOutcomeError extends TrunklineError {}

/** A person must act. */
export class StuckError extends TrunklineError {}

/** Whether `error` is one of ours, and, when `code` is given, of that cause. */
export function isTrunklineError(error: unknown, code?: string): error is TrunklineError {
  if (!(error instanceof Error) || !('trunkline' in error) || error.trunkline !== true) return false
  return code === undefined || ('code' in error && error.code === code)
}

/** The text of whatever was thrown, for one line of a log. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
