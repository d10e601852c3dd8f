import { Command } from 'commander'
import { groupForgetCommand } from './group-forget.ts'
import { groupLagCommand } from './group-lag.ts'
import { groupListCommand } from './group-list.ts'
import { groupPauseCommand, groupResumeCommand } from './group-pause.ts'

/** `trunkline group`: who consumes, how far behind, and a switch. */
export function groupCommand(): Command {
  return new Command('group')
    .description('consumer groups: where they stand, and whether they run')
    .addCommand(groupListCommand())
    .addCommand(groupLagCommand())
    .addCommand(groupPauseCommand())
    .addCommand(groupResumeCommand())
    .addCommand(groupForgetCommand())
}
