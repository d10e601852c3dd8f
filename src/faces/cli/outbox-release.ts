import { Command } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import {
  type Act,
  countHeldKeys,
  type HeldKey,
  type HeldKeyCount,
  type HeldKeySelection,
  readAllHeldKeys,
  readHeldKeys,
  requestHeldKeys,
} from '../../adapters/postgres/queries/held-keys.ts'
import { readOutboxStatus } from '../../adapters/postgres/queries/outbox-status.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { consent, takesConsent } from './consent.ts'
import { exitCodes } from './exit-codes.ts'
import { type AddressFlags, actor, takesDatabase, takesJson, withDatabase } from './operator.ts'
import { type ArchivedFlags, redriveFromArchive } from './outbox-archived.ts'
import { printHeld } from './outbox-status.ts'
import { count, printJson, say } from './print.ts'

type Verb = 'redrive' | 'discard'

interface ReleaseFlags extends AddressFlags, ArchivedFlags {
  readonly all?: boolean
  readonly fromArchive?: boolean
}

const descriptions = {
  redrive: 'send the messages of held keys again, in their order',
  discard: 'take the refused first message of held keys out of the outbox, and send the others; it is kept in trunkline.outbox_discarded',
} as const

/** `trunkline outbox redrive|discard`: what a person decides about held keys. The relay does it. */
export function outboxReleaseCommand(verb: Verb): Command {
  const command = new Command(verb)
    .description(descriptions[verb])
    .option('--topic <name>', 'only keys of this topic')
    .option('--key <text>', 'only this key')
    .option('--message <id>', 'only the key that this refused message holds')
    .option('--all', 'every held key')
  if (verb === 'redrive') takesArchive(command)
  return takesJson(takesConsent(takesDatabase(command))).action(async (flags: ReleaseFlags) => {
    refuseBadId(flags.message)
    if (flags.fromArchive === true) {
      if (flags.all === true)
        throw notTogether('--all is about held keys, --from-archive about what Kafka has. Say a range: --from <time>.')
      await withDatabase(flags, 'outbox redrive', (database) => redriveFromArchive(database, flags))
      return
    }
    if (flags.from !== undefined || flags.to !== undefined) throw notTogether('--from and --to are about the archive: add --from-archive.')
    const selection = selectionOf(flags)
    await withDatabase(flags, `outbox ${verb}`, (database) => release(database, verb, selection, flags))
  })
}

function takesArchive(command: Command): void {
  command
    .option('--from-archive', 'instead of held keys: messages that Kafka had acknowledged, where the service keeps them (outbox.archive)')
    .option('--from <time>', 'with --from-archive: acknowledged from then on')
    .option('--to <time>', 'with --from-archive: acknowledged before')
}

async function release(database: Database<Transaction>, verb: Verb, selection: HeldKeySelection, flags: ReleaseFlags): Promise<void> {
  const all = await countHeldKeys(database.outside, selection)
  const shown = await readHeldKeys(database.outside, selection)
  if (flags.json !== true) printHeld(shown)
  if (all.count > shown.length) say(`These are the first ${shown.length} of ${count(all.count, 'held key')}.`)
  const report = { act: verb, dryRun: flags.dryRun === true, count: all.count, selected: shown, requested: [] as readonly string[] }
  if (all.count === 0) say('No held key fits.')
  else {
    const reason = await consent(flags, sentence(verb, all.count, shown))
    if (reason !== undefined) {
      report.requested = await request(database, selection, all, { verb, actor: actor(), reason })
      await tell(database, report.requested.length, all.count)
    }
  }
  if (flags.json === true) printJson(report)
}

/** A thousand keys a transaction, each with its audit: an interruption leaves what was asked for, and the same again does the rest. */
async function request(database: Database<Transaction>, selection: HeldKeySelection, all: HeldKeyCount, act: Act): Promise<string[]> {
  const parts = { database, audit: new PostgresAuditLog(database) }
  const requested: string[] = []
  for await (const keys of readAllHeldKeys(database.outside, selection, all)) {
    for (const id of await requestHeldKeys(parts, keys, act)) requested.push(id)
    if (requested.length < all.count) say(`${requested.length} of ${count(all.count, 'key')} …`)
  }
  return requested
}

/** Nothing that a slip of the pen could make larger than it was meant. */
function selectionOf({ topic, key, message, all = false }: ReleaseFlags): HeldKeySelection {
  const named = topic !== undefined || key !== undefined || message !== undefined
  if (named === all) {
    throw new ConfigurationError(
      'SELECTION_NEEDED',
      'Say which held keys are meant: --topic, --key and --message, in any combination, or --all and none of them. "trunkline outbox status" lists them.',
    )
  }
  return {
    ...(topic === undefined ? {} : { topic }),
    ...(key === undefined ? {} : { key }),
    ...(message === undefined ? {} : { messageId: message }),
  }
}

function notTogether(message: string): ConfigurationError {
  return new ConfigurationError('OPTION_INVALID', message)
}

function refuseBadId(message: string | undefined): void {
  if (message === undefined || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(message)) return
  throw new ConfigurationError('OPTION_INVALID', `--message must be the id of a message, a UUID; got "${message.slice(0, 60)}".`)
}

function sentence(verb: Verb, keys: number, shown: readonly HeldKey[]): string {
  if (verb === 'discard') return `Discard ${count(keys, 'refused message')}, and send what waits behind`
  const waiting = shown.reduce((sum, key) => sum + key.waiting, 0)
  return `Send ${keys > shown.length ? 'more than ' : ''}${count(waiting, 'message')} of ${count(keys, 'held key')} again`
}

async function tell(database: Database<Transaction>, requested: number, selected: number): Promise<void> {
  if (requested < selected) {
    say(`${count(selected - requested, 'key')} moved on meanwhile and was left alone.`)
    process.exitCode = exitCodes.findings
  }
  const { owner } = await readOutboxStatus(database.outside)
  say(
    owner === null
      ? `Asked for ${count(requested, 'key')}. No relay is in office: it is done as soon as one runs.`
      : `Asked for ${count(requested, 'key')}: the relay in office does it within a second. What Kafka refuses again is held again.`,
  )
}
