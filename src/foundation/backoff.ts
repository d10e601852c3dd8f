export interface BackoffOptions {
  readonly minMs: number
  readonly maxMs: number
  /** Growth per attempt. Default 2. */
  readonly factor?: number
  /** Share of the delay that is random, 0–1. Default 0.2. */
  readonly jitter?: number
  /** Source of randomness in [0, 1). Default `Math.random`. */
  readonly random?: () => number
}

/** How long to wait before attempt `attempt + 1`, where `attempt` counts from 1. */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const { minMs, maxMs, factor = 2, jitter = 0.2, random = Math.random } = options
  const delay = Math.min(maxMs, minMs * factor ** Math.max(0, attempt - 1))
  return Math.round(delay * (1 - jitter * random()))
}
