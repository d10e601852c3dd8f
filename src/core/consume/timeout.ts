import { TransientError } from '../../foundation/errors.ts'

/**
 * Gives `work` a limited time and a signal that aborts when it is over, or when `outer` aborts. The signal is made when
 * it is asked for: most handlers never look, and two signals in one cost more than everything else here.
 *
 * @throws TransientError `HANDLER_TIMEOUT`; the work may still be running, so its transaction must be destroyed
 */
export async function withTimeout<Result>(
  timeoutMs: number,
  outer: AbortSignal,
  work: (signal: () => AbortSignal) => Promise<Result>,
): Promise<Result> {
  const expired = new AbortController()
  let either: AbortSignal | undefined
  const signal = (): AbortSignal => {
    either ??= AbortSignal.any([outer, expired.signal])
    return either
  }
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = timedOut(timeoutMs)
    expired.abort(error)
    reject(error)
  }, timeoutMs)
  try {
    return await Promise.race([work(signal), promise])
  } finally {
    clearTimeout(timer)
  }
}

function timedOut(timeoutMs: number): TransientError {
  return new TransientError(
    'HANDLER_TIMEOUT',
    `The handler did not settle within ${timeoutMs} ms; its transaction was rolled back. Raise the subscription's timeout, or use delivery.signal to stop early.`,
    { timeoutMs },
  )
}
