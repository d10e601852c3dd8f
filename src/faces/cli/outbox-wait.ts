import { Command } from 'commander'
import { readDrain } from '../../adapters/postgres/queries/outbox-drain.ts'
import { systemClock } from '../../foundation/clock.ts'
import { durationMs } from '../../foundation/duration.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { exitCodes } from './exit-codes.ts'
import { interruption } from './interruption.ts'
import { type AddressFlags, takesDatabase, takesJson, withDatabase } from './operator.ts'
import { count, printJson, say } from './print.ts'

const LOOK_EVERY_MS = 250
const TELL_EVERY_MS = 5_000

interface WaitFlags extends AddressFlags {
  readonly timeout: string
  readonly json?: boolean
}

/** `trunkline outbox wait-empty`: before a deployment that changes who publishes, or a topic's partitions. */
export function outboxWaitCommand(): Command {
  const command = new Command('wait-empty')
    .description(
      'wait until everything that was committed when the command began is in Kafka; exit 3 when held keys or the time-out prevent it',
    )
    .option('--timeout <duration>', 'give up after so long', '60s')
  return takesJson(takesDatabase(command)).action(async (flags: WaitFlags) => {
    const timeoutMs = durationMs(flags.timeout)
    if (timeoutMs === undefined) throw new ConfigurationError('OPTION_INVALID', '--timeout must be a duration such as 30s, 5m or 1h.')
    using interrupted = interruption()
    await withDatabase(flags, 'outbox wait-empty', async ({ outside }) => {
      const { last } = await readDrain(outside, undefined)
      const deadline = systemClock.monotonic() + timeoutMs
      let left = await readDrain(outside, last)
      let toldAt = systemClock.monotonic()
      while (left.sendable > 0 && systemClock.monotonic() < deadline) {
        interrupted.signal.throwIfAborted()
        if (systemClock.monotonic() - toldAt > TELL_EVERY_MS) {
          say(`${count(left.sendable, 'message')} left …`)
          toldAt = systemClock.monotonic()
        }
        await systemClock.sleep(LOOK_EVERY_MS, interrupted.signal)
        left = await readDrain(outside, last)
      }
      const empty = left.sendable === 0 && left.held === 0
      if (flags.json === true) printJson({ empty, sendable: left.sendable, held: left.held })
      else say(outcome(left, flags.timeout))
      if (!empty) process.exitCode = exitCodes.findings
    })
  })
}

function outcome({ sendable, held }: { readonly sendable: number; readonly held: number }, timeout: string): string {
  if (sendable > 0)
    return `${count(sendable, 'message')} still ${sendable === 1 ? 'waits' : 'wait'} after ${timeout}. "trunkline outbox status" says why.`
  if (held > 0) return `All sent but ${count(held, 'message')} of held keys. "trunkline outbox status" lists them.`
  return 'Everything that was committed is in Kafka.'
}
