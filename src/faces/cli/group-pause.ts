import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { PostgresPauseStore } from '../../adapters/postgres/pause-store.ts'
import type { GroupSummary } from '../../adapters/postgres/queries/groups.ts'
import { pauseGroup, resumeGroup } from '../../core/consume/pause-store.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { type ActFlags, consent, takesConsent } from './consent.ts'
import { knownGroup } from './known-group.ts'
import { type AddressFlags, actor, takesDatabase, takesJson, withDatabase } from './operator.ts'
import { printJson, say } from './print.ts'

/** A little more than the longest time in which a process hears of it, with the default heartbeat. */
const HEARD_WITHIN_MS = 5_000
const LOOK_EVERY_MS = 200

type Flags = AddressFlags & ActFlags & { readonly json?: boolean }

export function groupPauseCommand(): Command {
  const command = new Command('pause')
    .description('let no process begin anything of a group; members and partitions stay')
    .argument('<group>')
  return takesJson(takesConsent(takesDatabase(command))).action((group: string, flags: Flags) => act(group, flags, 'pause'))
}

export function groupResumeCommand(): Command {
  const command = new Command('resume').description('let a paused group go on').argument('<group>')
  return takesJson(takesConsent(takesDatabase(command))).action((group: string, flags: Flags) => act(group, flags, 'resume'))
}

async function act(group: string, flags: Flags, verb: 'pause' | 'resume'): Promise<void> {
  await withDatabase(flags, `group ${verb}`, async (database) => {
    const before = await knownGroup(database.outside, group)
    const what = `${verb === 'pause' ? 'Pause' : 'Resume'} group "${group}" in ${before.processes} processes`
    const reason = await consent(flags, what)
    if (reason === undefined) return
    const parts = { pauses: new PostgresPauseStore(database), audit: new PostgresAuditLog(database) }
    const change = verb === 'pause' ? pauseGroup : resumeGroup
    const changed = await database.transaction((tx) => change(parts, tx, group, { actor: actor(), reason }))
    const after = await untilHeard(database, group, verb)
    if (flags.json === true) return printJson({ group, changed, processes: after.processes, paused: after.pausedProcesses })
    if (!changed) say(verb === 'pause' ? `Group "${group}" was paused already.` : `Group "${group}" was not paused.`)
    say(toldOf(after, verb))
  })
}

/** Every process says with its heartbeat what is paused in it, so that "paused" means that nothing runs. */
async function untilHeard(database: Database<Transaction>, group: string, verb: 'pause' | 'resume'): Promise<GroupSummary> {
  const deadline = performance.now() + HEARD_WITHIN_MS
  while (true) {
    const summary = await knownGroup(database.outside, group)
    const heard = verb === 'pause' ? summary.pausedProcesses === summary.processes : summary.pausedProcesses === 0
    if (heard || performance.now() > deadline) return summary
    await sleep(LOOK_EVERY_MS)
  }
}

function toldOf({ group, processes, pausedProcesses }: GroupSummary, verb: 'pause' | 'resume'): string {
  if (verb === 'resume')
    return pausedProcesses === 0
      ? `Group "${group}" goes on.`
      : `Group "${group}" goes on as soon as ${pausedProcesses} more processes hear of it.`
  if (processes === 0) return `Group "${group}" is paused; no process consumes it now.`
  if (pausedProcesses === processes) return `Group "${group}" is paused: nothing of it runs in any of its ${processes} processes.`
  return `Group "${group}" is paused: ${pausedProcesses} of ${processes} processes have stopped it; the others finish what they had begun.`
}
