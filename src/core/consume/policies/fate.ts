import { reactionTo } from '../retry.ts'
import type { SubscriptionPolicy } from '../subscription.ts'
import { delayAfter } from './retry-policy.ts'

/**
 * What becomes of a message after a recorded failure: it waits for its next attempt, or it is dead. A dead one stays in
 * its key's queue, and holds the key, or is taken out, and the later ones flow.
 */
export type Fate =
  | { readonly state: 'waiting'; readonly queued: true; readonly delayMs: number }
  | { readonly state: 'dead'; readonly queued: boolean; readonly delayMs: 0 }

/**
 * @param failures recorded failures, this one included
 * @param error of the handler, of its statements, or of its COMMIT
 */
export function fateAfter(policy: SubscriptionPolicy, failures: number, error: unknown, random: () => number = Math.random): Fate {
  const permanent = reactionTo(error, true) === 'permanent' || policy.retry.isPermanent(error)
  const delayMs = permanent ? undefined : delayAfter(policy.retry, failures, random)
  if (delayMs !== undefined) return { state: 'waiting', queued: true, delayMs }
  return { state: 'dead', queued: policy.onExhausted === 'hold', delayMs: 0 }
}
