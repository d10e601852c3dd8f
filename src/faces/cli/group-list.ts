import { Command } from 'commander'
import { type GroupSummary, readGroups, readPositions } from '../../adapters/postgres/queries/groups.ts'
import { totalLag } from './log-ends.ts'
import { type AddressFlags, takesDatabase, takesJson, takesKafka, withDatabase } from './operator.ts'
import { printJson, printTable, say } from './print.ts'

interface ListedGroup extends GroupSummary {
  /** Records that it has still to read; `null` where Kafka did not say. */
  readonly lag: bigint | null
}

export function groupListCommand(): Command {
  const command = new Command('list').description('all groups of a service: lag, parked messages, dead letters, processes, pauses')
  return takesJson(takesKafka(takesDatabase(command))).action(list)
}

async function list(flags: AddressFlags & { readonly json?: boolean }): Promise<void> {
  const groups = await withDatabase(flags, 'group list', async ({ outside }) => {
    const found = await readGroups(outside)
    const lag = await totalLag(flags, await readPositions(outside, null))
    return found.map((group): ListedGroup => ({ ...group, lag: lag === undefined ? null : (lag.get(group.group) ?? 0n) }))
  })
  if (flags.json === true) return printJson({ groups })
  if (groups.length === 0) return say('No group has read anything yet in this database.')
  printTable(groups, [
    { name: 'GROUP', of: ({ group }) => group },
    { name: 'STATE', of: stateOf },
    { name: 'PARTITIONS', of: ({ partitions }) => partitions, right: true },
    { name: 'LAG', of: ({ lag }) => lag, right: true },
    { name: 'PARKED', of: ({ parked }) => parked, right: true },
    { name: 'DEAD', of: ({ dead }) => dead, right: true },
  ])
  for (const { group, pause } of groups)
    if (pause !== null) say(`${group} was paused by ${pause.by} at ${pause.at.toISOString()}: ${pause.reason}`)
}

function stateOf({ pause, processes, pausedProcesses }: GroupSummary): string {
  if (pause !== null)
    return pausedProcesses === processes ? `paused (${processesOf(processes)})` : `pausing (${pausedProcesses} of ${processes})`
  return processes === 0 ? 'nobody consumes it' : `runs (${processesOf(processes)})`
}

function processesOf(number: number): string {
  return number === 1 ? '1 process' : `${number} processes`
}
