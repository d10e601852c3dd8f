import { TransientError } from '../../foundation/errors.ts'

/**
 * Gives `work` a limited time and a signal that aborts when it is over, or when `outer` aborts. The signal is made when
 * it is asked for: most handlers never look, and two signals in one cost more than everything else here.
 *
 * @throws TransientError `HANDLER_TIMEOUT`; the work may still be running, so its transaction must be destroyed
 */
export function withTimeout<Result>(
  timeoutMs: number,
  outer: AbortSignal,
  work: (signal: () => AbortSignal) => Promise<Result>,
): Promise<Result> {
  let expired: AbortController | undefined
  let either: AbortSignal | undefined
  let late: TransientError | undefined
  const signal = (): AbortSignal => {
    if (either !== undefined) return either
    expired = new AbortController()
    if (late !== undefined) expired.abort(late)
    either = AbortSignal.any([outer, expired.signal])
    return either
  }
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      late = timedOut(timeoutMs)
      expired?.abort(late)
      reject(late)
    }, timeoutMs)
    work(signal).then(
      (result) => {
        clearTimeout(timer)
        resolve(result)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

function timedOut(timeoutMs: number): TransientError {
  return new TransientError(
    'HANDLER_TIMEOUT',
    `The handler did not settle within ${timeoutMs} ms; its transaction was rolled back. Raise the subscription's timeout, or use delivery.signal to stop early.`,
    { timeoutMs },
  )
}
