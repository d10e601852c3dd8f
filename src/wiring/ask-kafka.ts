import type { BackboneDiagnostics } from '../core/diagnostics.ts'
import { unlessAborted } from '../core/outbox/unless-aborted.ts'
import { isTrunklineError, messageOf } from '../foundation/errors.ts'
import { endsWithin } from '../foundation/service.ts'
import type { LogParts } from './parts.ts'

/**
 * Asks Kafka whether it is there, so that what a person must correct fails the start, and a wrong address is told. Without Kafka
 * everything can start: what is published waits in the outbox, and consumers join when it answers.
 *
 * @returns when it answered, or did not within `withinMs`, or the signal aborted
 * @throws ConfigurationError it answers, and refuses this service
 */
export async function askKafka(
  { log, diagnostics }: { readonly log: LogParts; readonly diagnostics: BackboneDiagnostics },
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const asking = log.admin.brokers().then(
    () => undefined,
    (error: unknown) => error,
  )
  const answered = await unlessAborted(endsWithin(asking, withinMs), signal)
  if (answered === undefined) return
  const error = answered ? await asking : `nothing came within ${withinMs} ms`
  if (error === undefined) return
  if (isTrunklineError(error) && error.name !== 'TransientError') throw error
  const reason = `Kafka at ${log.address} did not answer (${messageOf(error)}). The service starts all the same: what is published waits in the outbox, and leaves when Kafka answers; consumers join then. Check the address if it should be there; "npx trunkline dev up" starts both servers.`
  diagnostics.emit('kafka.unheard', { reason })
}
