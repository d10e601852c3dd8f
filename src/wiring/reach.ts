import type { Clock } from '../foundation/clock.ts'
import { isTrunklineError, messageOf, TransientError } from '../foundation/errors.ts'

const PAUSE_MS = 250

/**
 * Tries until it works: services and servers are often started together.
 *
 * @param what for the message: `Kafka at localhost:9092`
 * @throws TransientError `UNREACHABLE_AT_START` nobody answered in time; whatever else `attempt` throws is thrown at once
 */
export async function reach(
  what: string,
  attempt: () => Promise<unknown>,
  { clock, withinMs, signal }: { readonly clock: Clock; readonly withinMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const deadline = clock.monotonic() + withinMs
  while (true) {
    try {
      await attempt()
      return
    } catch (error) {
      const transient = isTrunklineError(error) && error.name === 'TransientError'
      if (!transient || signal.aborted) throw error
      if (clock.monotonic() >= deadline) throw unreachable(what, withinMs, error)
      await clock.sleep(PAUSE_MS, signal)
    }
  }
}

function unreachable(what: string, withinMs: number, error: unknown): TransientError {
  const message = `${what} did not answer within ${withinMs} ms (${messageOf(error)}). Is it running, and is the address right? "npx trunkline dev up" starts both servers.`
  return new TransientError('UNREACHABLE_AT_START', message, { what }, error)
}
