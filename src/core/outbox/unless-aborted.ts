/** Waits for `work`, but no longer than the signal allows. @returns `undefined` when it aborted first; what comes later goes nowhere */
export async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result | undefined> {
  const aborted = Promise.withResolvers<undefined>()
  const onAbort = (): void => aborted.resolve(undefined)
  if (signal.aborted) onAbort()
  // Taken away again: a signal lives as long as the service, and a listener holds what it waited for.
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
