import { backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { isTrunklineError } from '../../foundation/errors.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'

/** How long to wait between two tries, where there is no room. */
export const ROOM_AGAIN = { minMs: 100, maxMs: 5_000 }

/**
 * Writes until the database has room for it: a full disk must not end a term, for the next one would send again what Kafka
 * has. It ends with the term's connections.
 *
 * @throws whatever else `write` throws
 */
export async function whenThereIsRoom<Result>(
  { clock, diagnostics }: { readonly clock: Clock; readonly diagnostics: BackboneDiagnostics },
  write: () => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write()
    } catch (error) {
      if (!isTrunklineError(error, 'DATABASE_FULL')) throw error
      diagnostics.emit('relay.no_room', { reason: error.message })
      await clock.sleep(backoffMs(attempt, ROOM_AGAIN))
    }
  }
}
