import type { SubscriptionPolicy } from '../../src/core/consume/subscription.ts'

/** A subscription's policy for tests that do not care. */
export const anyPolicy: SubscriptionPolicy = {
  retry: { inline: 0, delaysMs: [], jitter: 0, isPermanent: () => false },
  onExhausted: 'hold',
  timeoutMs: 1_000,
  checksRules: false,
  transaction: 'batch',
  interleaves: false,
  ordered: true,
  batchSizeMax: 500,
  batchLatencyMs: 200,
}
