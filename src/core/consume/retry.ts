import { ConflictError, isTrunklineError, PermanentError } from '../../foundation/errors.ts'
import { isRegistryError } from '../contract/registry.ts'

/**
 * What a failed effect asks for.
 *
 * - `fenced`: the partition is somebody else's, or the database was set back: read the position again.
 * - `unavailable`: the infrastructure or this process failed, not the message: pause, spend no attempt.
 * - `conflict`: another transaction was first: run again at once, spend no attempt.
 * - `permanent`: it will never work: dead letter at once.
 * - `failed`: the handler, its statements or its COMMIT failed: an attempt is spent.
 */
export type Reaction = 'fenced' | 'unavailable' | 'conflict' | 'permanent' | 'failed'

/** @param handlerRan whether the failure can be the handler's at all */
export function reactionTo(error: unknown, handlerRan: boolean): Reaction {
  if (isTrunklineError(error, 'POSITION_FENCED')) return 'fenced'
  if (isTrunklineError(error, 'PARKING_FULL')) return 'unavailable'
  if (isTrunklineError(error, 'DATABASE_UNAVAILABLE') || isRegistryError(error)) return 'unavailable'
  // The outbox is at its cap because Kafka is away: what publishes has to wait for it.
  if (isTrunklineError(error, 'OUTBOX_FULL')) return 'unavailable'
  // Another process of a rolling deploy has the definition; a dead letter would need a person for nothing.
  if (isTrunklineError(error, 'SAGA_DEFINITION_MISSING')) return 'unavailable'
  if (isConflict(error)) return 'conflict'
  if (!handlerRan) return 'unavailable'
  return isPermanent(error) ? 'permanent' : 'failed'
}

/** Whether it costs the message an attempt. */
export function isCharged(reaction: Reaction): boolean {
  return reaction === 'failed' || reaction === 'permanent'
}

/** By name as well: a second copy of the package has classes of its own. */
function isConflict(error: unknown): boolean {
  return isInstance(error, ConflictError) || (isTrunklineError(error) && error.name === 'ConflictError')
}

function isPermanent(error: unknown): boolean {
  return isInstance(error, PermanentError) || (isTrunklineError(error) && ['PermanentError', 'ContractError'].includes(error.name))
}

/** A handler can throw what cannot even be looked at; that must not decide anything but an attempt. */
function isInstance(error: unknown, of: typeof ConflictError | typeof PermanentError): boolean {
  try {
    return error instanceof of
  } catch {
    return false
  }
}
