import type { SubscriptionPolicy } from '../../src/core/consume/subscription.ts'

/** A subscription's policy for tests that do not care. */
export const anyPolicy: SubscriptionPolicy = {
  inlineRetries: 0,
  timeoutMs: 1_000,
  checksRules: false,
  transaction: 'batch',
  interleaves: false,
  ordered: true,
  batchSizeMax: 500,
  batchLatencyMs: 200,
}
