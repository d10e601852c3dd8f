import { Command } from 'commander'
import type { TopicDifference, TopicPlan } from '../../core/broker/topic-differences.ts'
import { exitCodes } from './exit-codes.ts'
import { type AddressFlags, takesDatabase, takesJson, takesKafka, withLog } from './operator.ts'
import { count, printJson, printTable, say } from './print.ts'
import { schemasFlag } from './schema-project.ts'
import { loadTopicSpecs, planTopics, withOptionalDatabase } from './topic-project.ts'

interface PlanFlags extends AddressFlags {
  readonly schemas?: string
  readonly json?: boolean
}

export function topicPlanCommand(): Command {
  const command = new Command('plan')
    .description('how Kafka differs from the contracts and from "topics" of trunkline.config.ts; ends with 3 when it does')
    .option(...schemasFlag)
  return takesJson(takesKafka(takesDatabase(command))).action(plan)
}

async function plan(flags: PlanFlags): Promise<void> {
  const specs = await loadTopicSpecs(flags)
  const plans = await withOptionalDatabase(flags, 'topic plan', async (database) => {
    if (database === undefined)
      say('No database is named, so that it is not known whether a topic was made again, or with which count its keys are hashed.')
    return await withLog(flags, ({ admin }) => planTopics(specs, admin, database))
  })
  const differences = plans.reduce((sum, one) => sum + one.differences.length, 0)
  if (differences > 0) process.exitCode = exitCodes.findings
  if (flags.json === true) return printJson({ topics: plans })
  printPlans(plans)
  say(
    differences === 0
      ? `${count(plans.length, 'topic')}: as they should be.`
      : `${count(differences, 'difference')} in ${count(plans.length, 'topic')}.`,
  )
}

/** @param raises whether more partitions were asked for */
export function printPlans(plans: readonly TopicPlan[], raises = false): void {
  const rows = plans.flatMap(({ topic, differences }) => differences.map((difference) => ({ topic, ...wordsOf(difference, raises) })))
  printTable(rows, [
    { name: 'TOPIC', of: ({ topic }) => topic },
    { name: 'DIFFERENCE', of: ({ what }) => what },
    { name: 'APPLY', of: ({ apply }) => apply },
  ])
}

function wordsOf(difference: TopicDifference, raises: boolean): { readonly what: string; readonly apply: string } {
  if (difference.kind === 'report') return { what: difference.what, apply: `does not: ${difference.todo}` }
  if (difference.kind === 'raise') {
    return {
      what: `partitions: ${difference.from} -> ${difference.to}`,
      apply: `${raises ? 'raises them' : 'only with --raise-partitions'}: keys move to other partitions`,
    }
  }
  if (difference.kind === 'change')
    return { what: `${difference.setting}: ${difference.from ?? "(the brokers')"} -> ${difference.to}`, apply: 'changes it' }
  const { partitions, replicationFactor, settings = {} } = difference.spec
  const more = Object.entries(settings).map(([name, value]) => `, ${name} ${value}`)
  return { what: `is missing`, apply: `creates it: ${count(partitions, 'partition')}, replication ${replicationFactor}${more.join('')}` }
}
