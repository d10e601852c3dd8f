import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { type ArchivedTopic, type ArchiveSelection, readArchived, redriveArchived } from '../../adapters/postgres/queries/outbox-archive.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { type ActFlags, consent } from './consent.ts'
import { actor } from './operator.ts'
import { count, printJson, printTable, say } from './print.ts'

/** What one transaction puts back; more than that is several commands, so that each can be looked at. */
const REDRIVE_MAX = 100_000

export interface ArchivedFlags extends ActFlags {
  readonly from?: string
  readonly to?: string
  readonly topic?: string
  readonly key?: string
  readonly message?: string
  readonly json?: boolean
}

/** `trunkline outbox redrive --from-archive`: a range of what Kafka had acknowledged is sent again, with the same ids. */
export async function redriveFromArchive(database: Database<Transaction>, flags: ArchivedFlags): Promise<void> {
  const selection = selectionOf(flags)
  const topics = await readArchived(database.outside, selection, REDRIVE_MAX)
  const selected = topics.reduce((sum, { messages }) => sum + messages, 0)
  if (flags.json !== true) print(topics)
  if (selected > REDRIVE_MAX) throw tooMany()
  let sent = 0
  if (selected === 0)
    say('Nothing in the archive fits. It has what Kafka acknowledged since the service set outbox.archive, for as long as that says.')
  else {
    const what = `Send ${count(selected, 'archived message')} again: groups that have handled one skip it, other readers see it twice`
    const reason = await consent(flags, what)
    if (reason !== undefined) {
      const act = { actor: actor(), reason, limit: REDRIVE_MAX }
      sent = await redriveArchived({ database, audit: new PostgresAuditLog(database) }, selection, act)
      say(`${count(sent, 'message')} wait in the outbox again.`)
    }
  }
  if (flags.json === true) printJson({ act: 'redrive', dryRun: flags.dryRun === true, selected: topics, sent })
}

function selectionOf(flags: ArchivedFlags): ArchiveSelection {
  const { topic, key, message } = flags
  const [from, to] = [timeOf('--from', flags.from), timeOf('--to', flags.to)]
  if (from === undefined && message === undefined) {
    throw new ConfigurationError(
      'SELECTION_NEEDED',
      'Say which messages are meant: --from <time>, by when Kafka acknowledged them, and --to, --topic or --key to narrow it; or --message <id>.',
    )
  }
  if (from !== undefined && to !== undefined && to <= from) {
    throw new ConfigurationError(
      'OPTION_INVALID',
      `--to must be later than --from: nothing is between ${from.toISOString()} and ${to.toISOString()}.`,
    )
  }
  return {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(topic === undefined ? {} : { topic }),
    ...(key === undefined ? {} : { key }),
    ...(message === undefined ? {} : { messageId: message }),
  }
}

function timeOf(flag: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(time.getTime())) return time
  throw new ConfigurationError('OPTION_INVALID', `${flag} must be a time such as 2026-03-01T12:00:00Z, got "${text.slice(0, 40)}".`)
}

function print(topics: readonly ArchivedTopic[]): void {
  printTable(topics, [
    { name: 'topic', of: ({ topic }) => topic },
    { name: 'messages', of: ({ messages }) => messages, right: true },
    { name: 'first', of: ({ first }) => first.toISOString() },
    { name: 'last', of: ({ last }) => last.toISOString() },
  ])
}

function tooMany(): ConfigurationError {
  return new ConfigurationError(
    'SELECTION_TOO_LARGE',
    `More than ${REDRIVE_MAX} messages fit. Narrow it by --from, --to, --topic or --key, and redrive one part after the other.`,
  )
}
