import { Command } from 'commander'
import { causesCommand } from './failure-causes.ts'
import { discardCommand, restoreCommand } from './failure-discard.ts'
import { listCommand } from './failure-list.ts'
import { redriveCommand } from './failure-redrive.ts'
import { showCommand } from './failure-show.ts'

/** `trunkline failure`: what a group could not apply, and what a person does about it. */
export function failureCommand(): Command {
  return new Command('failure')
    .description('messages that a group could not apply: look at them, put them back, or let them go')
    .addCommand(causesCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(redriveCommand())
    .addCommand(discardCommand())
    .addCommand(restoreCommand())
    .addHelpText('after', helpText)
}

const helpText = `
A message that failed is kept with its key's later messages behind it. It is "parked" while it waits for a retry, and
"dead" when its attempts are used up; then a person decides.

From the cause to the cure:
  $ trunkline failure causes                          what fails, how often, since when
  $ trunkline failure show 3fa1                       one message: data, headers, every attempt
  $ trunkline failure redrive --cause 9c1e --dry-run  can today's contracts read them, does the group handle them?
  $ trunkline failure redrive --cause 9c1e            one, then 2, 5, 10, … while the cause stays away`
