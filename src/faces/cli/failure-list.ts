import { Command, InvalidArgumentError } from 'commander'
import { type FailureRow, listFailures } from '../../adapters/postgres/queries/failures.ts'
import { type FilterFlags, filterOf, takesFilter } from './failure-filter.ts'
import { refuseUnknownGroup } from './known-group.ts'
import { takesJson, withDatabase } from './operator.ts'
import { age, count, printJson, printTable, say } from './print.ts'

interface ListFlags extends FilterFlags {
  readonly limit: number
  readonly json?: boolean
}

/** `trunkline failure list`. */
export function listCommand(): Command {
  const command = new Command('list')
    .description('list kept messages, in the order in which they were parked')
    .option('--limit <n>', 'at most so many, 1 to 10000', limitOf, 50)
  return takesJson(takesFilter(command)).action(async (flags: ListFlags) => {
    const rows = await withDatabase(flags, 'failure list', async ({ outside }) => {
      const found = await listFailures(outside, filterOf(flags, ['parked', 'dead']), flags.limit + 1)
      if (found.length === 0) await refuseUnknownGroup(outside, flags.group)
      return found
    })
    const shown = rows.slice(0, flags.limit)
    if (flags.json === true) printJson(shown.map(asJson))
    else if (shown.length === 0) say('No message is kept that fits.')
    else print(shown, rows.length > shown.length)
  })
}

function print(rows: readonly FailureRow[], more: boolean): void {
  printTable(rows, [
    { name: 'ID', of: ({ id }) => id.slice(0, 8) },
    { name: 'GROUP', of: ({ group }) => group },
    { name: 'STATE', of: stateOf },
    { name: 'TYPE', of: ({ type }) => type },
    { name: 'KEY', of: ({ key }) => keyText(key) },
    { name: 'ATTEMPTS', of: ({ attempts }) => attempts, right: true },
    { name: 'BEHIND', of: ({ behind }) => behind, right: true },
    { name: 'AGE', of: ({ ageMs }) => age(ageMs), right: true },
    { name: 'CAUSE', of: ({ fingerprint, cause, code }) => (fingerprint === null ? code : `${fingerprint}  ${cause}`) },
  ])
  say(more ? `These are the first ${rows.length}; --limit shows more.` : `${count(rows.length, 'message')}.`)
  say('Next: trunkline failure show <id>')
}

/** As the command line calls it. */
export function stateOf({ state }: Pick<FailureRow, 'state'>): 'parked' | 'dead' | 'discarded' {
  return state === 'waiting' ? 'parked' : state
}

/** A key is bytes; most are text. */
export function keyText(key: Buffer | null): string | null {
  if (key === null) return null
  const text = key.toString()
  const shown = Buffer.from(text).equals(key) ? text : `0x${key.toString('hex')}`
  return shown.length > 40 ? `${shown.slice(0, 39)}…` : shown
}

/** What programs get of a message in a list. */
export function asJson(row: FailureRow): Record<string, unknown> {
  const { group, id, type, attempts, code, fingerprint, cause, place, offset, ageMs, behind, head, key } = row
  const at = { topic: place.topic, partition: place.partition, offset }
  return {
    group,
    id,
    state: stateOf(row),
    type,
    key: key?.toString('base64') ?? null,
    attempts,
    code,
    fingerprint,
    cause,
    ...at,
    ageMs,
    behind,
    head,
  }
}

export function limitOf(text: string): number {
  const limit = Number(text)
  if (Number.isInteger(limit) && limit >= 1 && limit <= 10_000) return limit
  throw new InvalidArgumentError('It must be 1 to 10000.')
}
