import { Command } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { PostgresFailureStore } from '../../adapters/postgres/failure-store.ts'
import type { FailureRow } from '../../adapters/postgres/queries/failures.ts'
import { settleByHand } from '../../core/failures/settle-by-hand.ts'
import { type ActFlags, consent, takesConsent } from './consent.ts'
import { type FilterFlags, selectFailures, takesFilter } from './failure-filter.ts'
import { keyText, stateOf } from './failure-list.ts'
import { interruption } from './interruption.ts'
import { actor, takesJson, withDatabase } from './operator.ts'
import { age, count, printJson, printTable, say } from './print.ts'

interface SettleFlags extends FilterFlags, ActFlags {
  readonly all?: boolean
  readonly json?: boolean
}

interface Verb {
  readonly name: 'discard' | 'restore'
  readonly done: string
  /** What it is for when no state is named. */
  readonly states: readonly ('dead' | 'discarded')[]
  readonly help: string
}

/** `trunkline failure discard`. */
export function discardCommand(): Command {
  const command = new Command('discard').description('let messages go unapplied: they count as settled, and later ones of their keys go on')
  return settling(takesFilter(command, 'parked or dead (default: dead)'), {
    name: 'discard',
    done: 'discarded',
    states: ['dead'],
    help: '\nThe order of its key ends where a message is discarded. "failure restore" takes it back while it is kept.',
  })
}

/** `trunkline failure restore`. */
export function restoreCommand(): Command {
  const command = new Command('restore').description(
    'take a discard back: the messages are dead letters again, and hold their keys if they did',
  )
  return settling(takesFilter(command, 'discarded'), {
    name: 'restore',
    done: 'restored',
    states: ['discarded'],
    help: '\nWhat its key ran meanwhile has run. "failure redrive" then applies it.',
  })
}

function settling(command: Command, verb: Verb): Command {
  command
    .argument('[ids...]', 'ids, or the beginnings of them; without any, what the filters say')
    .option('--all', 'every one, without a filter')
    .addHelpText('after', verb.help)
  return takesJson(takesConsent(command)).action(async (ids: readonly string[], flags: SettleFlags) => act(ids, flags, verb))
}

async function act(ids: readonly string[], flags: SettleFlags, { name, done, states }: Verb): Promise<void> {
  await withDatabase(flags, `failure ${name}`, async (database) => {
    const selected = await selectFailures(database, flags, states, ids)
    if (selected.length === 0) return flags.json === true ? printJson({ selected: 0 }) : say('No message fits: nothing to do.')
    if (flags.json !== true) print(selected)
    const what = `${name === 'discard' ? 'Discard' : 'Restore'} ${count(selected.length, 'message')}`
    const reason = await consent(flags, what)
    if (reason === undefined) return
    using interrupted = interruption()
    const parts = { database, failures: new PostgresFailureStore(database), audit: new PostgresAuditLog(database) }
    const settled = await settleByHand(parts, selected, { act: name, actor: actor(), reason }, interrupted.signal)
    if (flags.json === true) printJson({ selected: selected.length, [done]: settled })
    else
      say(
        `${settled} of ${selected.length} ${done}.${settled < selected.length ? ' The others were settled by somebody else meanwhile.' : ''}`,
      )
  })
}

function print(rows: readonly FailureRow[]): void {
  printTable(rows, [
    { name: 'ID', of: ({ id }) => id.slice(0, 8) },
    { name: 'GROUP', of: ({ group }) => group },
    { name: 'STATE', of: stateOf },
    { name: 'TYPE', of: ({ type }) => type },
    { name: 'KEY', of: ({ key }) => keyText(key) },
    { name: 'BEHIND', of: ({ behind }) => behind, right: true },
    { name: 'AGE', of: ({ ageMs }) => age(ageMs), right: true },
  ])
}
