import { Command } from 'commander'
import type { HeldKey } from '../../adapters/postgres/queries/held-keys.ts'
import { type OutboxStatus, readOutboxStatus } from '../../adapters/postgres/queries/outbox-status.ts'
import { type AddressFlags, takesDatabase, takesJson, withDatabase } from './operator.ts'
import { age, cleaned, count, printJson, printTable, say } from './print.ts'

/** `trunkline outbox status`. */
export function outboxStatusCommand(): Command {
  const command = new Command('status').description('say what is pending, how old, which keys are held and who holds the relay back')
  return takesJson(takesDatabase(command)).action(async (flags: AddressFlags & { json?: boolean }) => {
    const status = await withDatabase(flags, 'outbox status', ({ outside }) => readOutboxStatus(outside))
    if (flags.json === true) printJson(status)
    else print(status)
  })
}

function print(status: OutboxStatus): void {
  const { pending, pendingAtLeast, oldestMs, topics, held, scheduled, nextDueInMs, owner, writers, deadRows, bytes } = status
  const lines = [
    [
      'pending',
      pending === 0 ? 'nothing' : `${pendingAtLeast ? 'more than ' : ''}${count(pending, 'message')}, the oldest ${age(oldestMs)} old`,
    ],
    ['relay', owner === null ? 'NOBODY is in office' : `in office, term ${owner.epoch}`],
    ['held keys', held.length === 0 ? 'none' : `${held.length}, see below`],
    ['for later', scheduled === 0 ? 'nothing' : `${count(scheduled, 'message')}, the first due in ${age(nextDueInMs)}`],
    ['table', `${Math.ceil(bytes / 1024)} KiB, ${count(deadRows, 'deleted row')} not vacuumed`],
  ] as const
  printTable(lines, [
    { name: 'outbox', of: ([name]) => name },
    { name: '', of: ([, value]) => value },
  ])
  section(topics.length > 0, () =>
    printTable(topics, [
      { name: 'topic', of: ({ topic }) => topic },
      { name: 'pending', of: (row) => row.pending, right: true },
      { name: 'oldest', of: (row) => age(row.oldestMs), right: true },
      { name: 'bytes', of: (row) => row.bytes, right: true },
    ]),
  )
  const troubles = topics.flatMap(({ trouble }) => trouble ?? [])
  section(troubles.length > 0, () => console.log(troubles.map(cleaned).join('\n')))
  section(held.length > 0, () => printHeld(held))
  section(writers.length > 0, () =>
    printTable(writers, [
      { name: 'open write transaction', of: ({ pid }) => `pid ${pid}` },
      { name: 'open for', of: ({ openMs }) => age(openMs), right: true },
      { name: 'state', of: ({ state }) => state },
      { name: 'database', of: ({ database }) => database },
      { name: 'application', of: ({ application }) => application },
    ]),
  )
  hint(status)
}

/** Also shown before something is done to them. */
export function printHeld(held: readonly HeldKey[]): void {
  printTable(held, [
    { name: 'held key', of: ({ key }) => key ?? '(none)' },
    { name: 'topic', of: ({ topic }) => topic },
    { name: 'held for', of: ({ heldMs }) => age(heldMs), right: true },
    { name: 'waiting', of: ({ waiting }) => waiting, right: true },
    { name: 'refused message', of: ({ messageId }) => messageId },
    { name: 'asked', of: ({ request }) => request ?? '' },
    // Whole: its end says what to do.
    { name: 'why', of: ({ reasonCode, reason }) => `${reasonCode}: ${reason}` },
  ])
}

/** So old nothing becomes while Kafka answers, but in a backlog. */
const SLOW_MS = 10_000

/** What a person would do next. */
function hint({ pending, oldestMs, owner, held, topics }: OutboxStatus): void {
  if (pending > 0 && owner === null) {
    say('\nNo relay is in office, so nothing is sent: start the service, or "trunkline relay".')
  } else if (held.length > 0) {
    say(
      '\nMend the cause, then: trunkline outbox redrive --topic <topic> --key <key>. Or give the refused message up: trunkline outbox discard.',
    )
  } else if (pending > 0 && (oldestMs ?? 0) > SLOW_MS && topics.every(({ trouble }) => trouble === null)) {
    say(
      '\nIf this does not become less, Kafka does not answer the relay: its log has relay.refused or relay.unknown, with the reason. Nothing is lost, and nobody has to do anything when Kafka is back.',
    )
  }
}

function section(present: boolean, print: () => void): void {
  if (!present) return
  console.log('')
  print()
}
