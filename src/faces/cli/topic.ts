import { Command } from 'commander'
import { topicApplyCommand } from './topic-apply.ts'
import { topicListCommand } from './topic-list.ts'
import { topicPlanCommand } from './topic-plan.ts'

/** `trunkline topic`: topics as code. */
export function topicCommand(): Command {
  return new Command('topic')
    .description('topics as the contracts and "topics" of trunkline.config.ts describe them')
    .addCommand(topicListCommand())
    .addCommand(topicPlanCommand())
    .addCommand(topicApplyCommand())
}
