import { Command } from 'commander'
import { readPositions } from '../../adapters/postgres/queries/groups.ts'
import { refuseUnknownGroup } from './known-group.ts'
import { lagOf } from './log-ends.ts'
import { type AddressFlags, takesDatabase, takesJson, takesKafka, withDatabase } from './operator.ts'
import { printJson, printTable, say } from './print.ts'

export function groupLagCommand(): Command {
  const command = new Command('lag').description('how far groups are behind, by partition').argument('[group]', 'only this one')
  return takesJson(takesKafka(takesDatabase(command))).action(showLag)
}

async function showLag(group: string | undefined, flags: AddressFlags & { readonly json?: boolean }): Promise<void> {
  const positions = await withDatabase(flags, 'group lag', async ({ outside }) => {
    const found = await readPositions(outside, group ?? null)
    if (found.length === 0) await refuseUnknownGroup(outside, group)
    return found
  })
  const lags = await lagOf(flags, positions)
  if (flags.json === true) return printJson({ partitions: lags })
  if (lags.length === 0)
    return say(
      group === undefined ? 'No group has read anything yet in this database.' : `Group "${group}" has read nothing yet in this database.`,
    )
  printTable(lags, [
    { name: 'GROUP', of: (row) => row.group },
    { name: 'TOPIC', of: (row) => row.topic },
    { name: 'PARTITION', of: (row) => row.partition, right: true },
    { name: 'POSITION', of: (row) => row.next, right: true },
    { name: 'END', of: (row) => row.end, right: true },
    { name: 'LAG', of: (row) => row.lag, right: true },
  ])
}
