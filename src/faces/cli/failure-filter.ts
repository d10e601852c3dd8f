import { type Command, InvalidArgumentError } from 'commander'
import type { FailureFilter, FailureRow } from '../../adapters/postgres/queries/failures.ts'
import { findByMessageId, listFailures } from '../../adapters/postgres/queries/failures.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { durationMs } from '../../foundation/duration.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { refuseUnknownGroup } from './known-group.ts'
import { type AddressFlags, takesDatabase } from './operator.ts'

type State = 'parked' | 'dead' | 'discarded'

/** Which messages a command is about. */
export interface FilterFlags extends AddressFlags {
  readonly group?: string
  readonly state?: State
  readonly type?: string
  readonly cause?: string
  readonly key?: string
  readonly since?: number
  readonly until?: number
}

/** The most that one command acts on; what is left is there for the next. */
export const SELECTED_MAX = 10_000

const ID_CHARACTERS = 36

/** Adds the filters, and the address of the database. */
export function takesFilter(command: Command, states = 'parked, dead or discarded (default: parked and dead)'): Command {
  return takesDatabase(
    command
      .option('--group <name>', 'of this consumer group')
      .option('--state <state>', states, stateOf)
      .option('--type <name>', 'of this message type, with or without its version')
      .option('--cause <fingerprint>', 'that failed for this cause; its first characters will do', causeOf)
      .option('--key <text>', 'of this key')
      .option('--since <duration>', 'kept within this time: 15m, 2h, 7d', agoMs)
      .option('--until <duration>', 'kept longer ago than this', agoMs),
  )
}

/** @param standard the states that are meant when none is named */
export function filterOf(flags: FilterFlags, standard: readonly State[], ids?: readonly string[]): FailureFilter {
  const { group, state, type, cause, key, since, until } = flags
  return {
    group,
    states: (state === undefined ? standard : [state]).map((each) => (each === 'parked' ? 'waiting' : each)),
    type,
    cause,
    key: key === undefined ? undefined : Buffer.from(key),
    sinceMs: since,
    untilMs: until,
    ids: ids === undefined || ids.length === 0 ? undefined : ids,
  }
}

/**
 * The messages that an act is about: those that are named, or those that fit.
 *
 * @throws ConfigurationError `SELECTION_EMPTY`: nothing was named · `FAILURE_UNKNOWN`, `FAILURE_AMBIGUOUS`: an id fits none, or several · `GROUP_UNKNOWN`
 */
export async function selectFailures(
  database: Database<Transaction>,
  flags: FilterFlags & { readonly all?: boolean },
  standard: readonly State[],
  ids: readonly string[],
): Promise<readonly FailureRow[]> {
  const { group, type, cause, key, since, until, all = false } = flags
  const narrowed = [group, type, cause, key, since, until].some((given) => given !== undefined)
  if (ids.length === 0 && !narrowed && !all) throw selectionEmpty()
  for (const id of ids) if (!/^[0-9a-f-]{4,36}$/i.test(id)) throw idInvalid(id)
  const rows = [...(await listFailures(database.outside, filterOf(flags, standard, ids), SELECTED_MAX))]
  if (rows.length === 0) await refuseUnknownGroup(database.outside, group)
  for (const id of ids) {
    const fitting = rows.filter((row) => row.id.startsWith(id.toLowerCase()))
    if (fitting.length === 0) fitting.push(...(await namedInLogs(database, flags, standard, id)))
    const [row] = fitting
    if (row === undefined) throw unknown(id, flags.state ?? standard.join(' or '))
    if (fitting.length > 1) throw ambiguous(id, fitting)
    if (!rows.some(({ seq }) => seq === row.seq)) rows.push(row)
  }
  return rows
}

/** A log names a message by the id in its envelope, the same in all groups. */
async function namedInLogs(
  database: Database<Transaction>,
  flags: FilterFlags,
  standard: readonly State[],
  id: string,
): Promise<readonly FailureRow[]> {
  if (id.length !== ID_CHARACTERS) return []
  const { states, group } = filterOf(flags, standard)
  const rows = await findByMessageId(database.outside, id, SELECTED_MAX)
  return rows.filter((row) => states.includes(row.state) && (group === undefined || row.group === group))
}

function stateOf(text: string): State {
  if (text === 'parked' || text === 'dead' || text === 'discarded') return text
  throw new InvalidArgumentError('It must be parked, dead or discarded.')
}

/** A name in its place would fit nothing, and look as if all were well. */
function causeOf(text: string): string {
  if (/^[0-9a-f]{1,12}$/i.test(text)) return text.toLowerCase()
  throw new InvalidArgumentError('It must be a fingerprint, or its beginning, as "trunkline failure causes" shows it.')
}

function agoMs(text: string): number {
  const ms = durationMs(text)
  if (ms === undefined) throw new InvalidArgumentError('It must be a duration such as 15m, 2h or 7d.')
  return ms
}

function selectionEmpty(): ConfigurationError {
  return new ConfigurationError(
    'SELECTION_EMPTY',
    'Which messages? Name their ids, or narrow them by --group, --type, --cause, --key, --since or --until; --all takes every one. Nothing was changed.',
  )
}

function idInvalid(id: string): ConfigurationError {
  return new ConfigurationError(
    'FAILURE_UNKNOWN',
    `"${id.slice(0, 40)}" is no id of a message: it has 4 to 36 of the characters 0-9, a-f and "-". See "trunkline failure list".`,
  )
}

function unknown(id: string, states: string): ConfigurationError {
  return new ConfigurationError(
    'FAILURE_UNKNOWN',
    `No message that is ${states} has an id that begins with "${id}". It may have been applied, or its state is another: see "trunkline failure list".`,
    { id },
  )
}

function ambiguous(id: string, rows: readonly FailureRow[]): ConfigurationError {
  const which = rows.slice(0, 5).map((row) => `${row.id} of group ${row.group}`)
  return new ConfigurationError('FAILURE_AMBIGUOUS', `"${id}" may be ${which.join(', ')}. Write more of it, or name its --group.`, { id })
}
