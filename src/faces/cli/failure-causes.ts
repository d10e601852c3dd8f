import { Command } from 'commander'
import { listCauses } from '../../adapters/postgres/queries/failures.ts'
import { type FilterFlags, filterOf, takesFilter } from './failure-filter.ts'
import { limitOf } from './failure-list.ts'
import { refuseUnknownGroup } from './known-group.ts'
import { takesJson, withDatabase } from './operator.ts'
import { age, count, printJson, printTable, say } from './print.ts'

interface CausesFlags extends FilterFlags {
  readonly limit: number
  readonly json?: boolean
}

/** `trunkline failure causes`: what fails, not which messages. */
export function causesCommand(): Command {
  const command = new Command('causes')
    .description('group kept messages by what they failed for: class of error, place in the code, contract')
    .option('--limit <n>', 'at most so many, 1 to 10000', limitOf, 50)
  return takesJson(takesFilter(command)).action(async (flags: CausesFlags) => {
    const causes = await withDatabase(flags, 'failure causes', async ({ outside }) => {
      const found = await listCauses(outside, filterOf(flags, ['parked', 'dead']), flags.limit)
      if (found.length === 0) await refuseUnknownGroup(outside, flags.group)
      return found
    })
    if (flags.json === true) return printJson(causes)
    if (causes.length === 0) return say('Nothing has failed that is still kept.')
    printTable(causes, [
      { name: 'CAUSE', of: ({ fingerprint }) => fingerprint },
      { name: 'GROUP', of: ({ group }) => group },
      { name: 'DEAD', of: ({ dead }) => dead, right: true },
      { name: 'PARKED', of: ({ waiting }) => waiting, right: true },
      { name: 'KEYS HELD', of: ({ heldKeys }) => heldKeys, right: true },
      { name: 'FIRST', of: ({ oldestMs }) => age(oldestMs), right: true },
      { name: 'LAST', of: ({ newestMs }) => age(newestMs), right: true },
      { name: 'EXAMPLE', of: ({ example }) => example.slice(0, 8) },
      { name: 'WHAT', of: ({ cause }) => cause },
    ])
    say(`${count(causes.length, 'cause')}. Next: trunkline failure show <example>, or failure list --cause <cause>`)
  })
}
