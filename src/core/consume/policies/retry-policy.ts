import { z } from 'zod'
import { duration } from '../../../foundation/duration.ts'
import { errorName } from '../../../foundation/errors.ts'

/** A class of errors, for `instanceof`. */
export type ErrorClass = abstract new (...args: never[]) => unknown

export const retryOptions = z.strictObject({
  /** How often a message that failed runs again at once, 0–20. Default 2. Its key waits meanwhile, other keys flow. */
  inline: z.int().min(0).max(20).default(2),
  /** How long to wait before each further retry, up to 50 of '0ms' to '7d'. Default ['1s', '10s', '1m']. After the last one the message is dead. */
  delays: z
    .array(duration({ max: '7d' }))
    .max(50)
    .prefault(['1s', '10s', '1m']),
  /** Which share of a delay is left to chance, 0–1, so that what failed together does not come back together. Default 0.2. */
  jitter: z.number().min(0).max(1).default(0.2),
  /**
   * Which errors no retry will cure, so that the message is dead at once: codes or names (`'NO_SUCH_CUSTOMER'`, `'23503'`,
   * `'TypeError'`) and classes of errors, or a function that says so. Default []; a PermanentError always is.
   */
  permanent: z
    .union(
      [
        z.array(z.union([z.string().min(1), z.custom<ErrorClass>(isClass)])).max(100),
        z.custom<(error: unknown) => boolean>((value) => typeof value === 'function'),
      ],
      'expected a list of up to 100 codes, names and classes of errors, or a function of the error',
    )
    .default([]),
})

/** After which failures a message runs again, and when. */
export interface RetryPolicy {
  readonly inline: number
  readonly delaysMs: readonly number[]
  readonly jitter: number
  /** Whether no retry will cure it. It never throws. */
  readonly isPermanent: (error: unknown) => boolean
}

export function retryPolicy(options: z.output<typeof retryOptions>): RetryPolicy {
  const { inline, delays, jitter, permanent } = options
  return { inline, delaysMs: delays, jitter, isPermanent: permanentBy(permanent) }
}

/**
 * How long a message waits after its `failures`th failure.
 *
 * @returns `undefined` when its attempts are used up
 */
export function delayAfter(policy: RetryPolicy, failures: number, random: () => number = Math.random): number | undefined {
  if (failures <= policy.inline) return 0
  const delayMs = policy.delaysMs[failures - policy.inline - 1]
  return delayMs === undefined ? undefined : Math.round(delayMs * (1 - policy.jitter * random()))
}

function permanentBy(permanent: z.output<typeof retryOptions>['permanent']): RetryPolicy['isPermanent'] {
  const decides = typeof permanent === 'function' ? permanent : (error: unknown) => permanent.some((one) => fits(error, one))
  return (error) => {
    try {
      return decides(error) === true
    } catch {
      // What cannot be looked at, or a predicate that fails, decides nothing: the message is retried.
      return false
    }
  }
}

function fits(error: unknown, one: string | ErrorClass): boolean {
  if (typeof one !== 'string') return error instanceof one
  if (errorName(error) === one) return true
  return error instanceof Error && (error.name === one || ('code' in error && error.code === one))
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && typeof value.prototype === 'object'
}
