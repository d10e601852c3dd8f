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
  try {
    if (!(error instanceof Error) || !('trunkline' in error) || error.trunkline !== true) return false
    return code === undefined || ('code' in error && error.code === code)
  } catch {
    return false
  }
}

/** The text of whatever was thrown, for people. It never throws, whatever that was. */
export function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return `${typeof error} without a text`
  }
}

/**
 * What telemetry may say of whatever was thrown: our code, or the error's name. Never its text, which may quote a
 * payload. It never throws.
 */
export function errorName(error: unknown): string {
  try {
    if (isTrunklineError(error) && isName(error.code)) return error.code
    if (error instanceof Error) return isName(error.name) ? error.name : 'Error'
  } catch {
    // It cannot even be looked at.
  }
  return typeof error
}

/** A text under which something else travels is no name. */
function isName(name: unknown): boolean {
  return typeof name === 'string' && /^[\w.$-]{1,100}$/.test(name)
}
