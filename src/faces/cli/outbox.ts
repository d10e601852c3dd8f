import { Command } from 'commander'
import { outboxReleaseCommand } from './outbox-release.ts'
import { outboxStatusCommand } from './outbox-status.ts'
import { outboxWaitCommand } from './outbox-wait.ts'

/** `trunkline outbox`: what waits to be published, and what holds it up. */
export function outboxCommand(): Command {
  return new Command('outbox')
    .description('messages that are committed and not yet in Kafka')
    .addCommand(outboxStatusCommand())
    .addCommand(outboxWaitCommand())
    .addCommand(outboxReleaseCommand('redrive'))
    .addCommand(outboxReleaseCommand('discard'))
}
