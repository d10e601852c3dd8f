import { TransientError } from '../../foundation/errors.ts'

/**
 * Gives `work` a limited time and a signal that aborts when it is over, or when `outer` aborts.
 *
 * @throws TransientError `HANDLER_TIMEOUT`; the work may still be running, so its transaction must be destroyed
 */
export async function withTimeout<Result>(
  timeoutMs: number,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const expired = new AbortController()
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = new TransientError(
      'HANDLER_TIMEOUT',
      `The handler did not settle within ${timeoutMs} ms; its transaction was rolled back. Raise the subscription's timeout, or use delivery.signal to stop early.`,
      { timeoutMs },
    )
    expired.abort(error)
    reject(error)
  }, timeoutMs)
  try {
    return await Promise.race([work(AbortSignal.any([outer, expired.signal])), promise])
  } finally {
    clearTimeout(timer)
  }
}
