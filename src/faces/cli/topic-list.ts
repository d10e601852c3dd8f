import { Command } from 'commander'
import type { TopicState } from '../../core/broker/log-admin.ts'
import { type AddressFlags, takesJson, takesKafka, withLog } from './operator.ts'
import { age, printJson, printTable, say } from './print.ts'
import { schemasFlag } from './schema-project.ts'
import { loadTopicSpecs } from './topic-project.ts'

interface ListFlags extends AddressFlags {
  readonly schemas?: string
  readonly all?: boolean
  readonly json?: boolean
}

interface ListedTopic {
  readonly topic: string
  /** Whether a contract of this project names it. */
  readonly inCatalogue: boolean
  /** `null`: it is not there. */
  readonly state: TopicState | null
}

export function topicListCommand(): Command {
  const command = new Command('list')
    .description('the topics that the contracts name, as they are in Kafka')
    .option(...schemasFlag)
    .option('--all', 'also those that no contract of this project names')
  return takesJson(takesKafka(command)).action(list)
}

async function list(flags: ListFlags): Promise<void> {
  const names = (await loadTopicSpecs(flags)).map(({ name }) => name)
  const topics = await withLog(flags, async ({ admin }) => {
    const others = flags.all === true ? (await admin.listTopics()).filter((name) => !names.includes(name)) : []
    const listed: ListedTopic[] = []
    for (const topic of [...names, ...others].toSorted((a, b) => a.localeCompare(b))) {
      listed.push({ topic, inCatalogue: names.includes(topic), state: (await admin.describeTopic(topic)) ?? null })
    }
    return listed
  })
  if (flags.json === true) return printJson({ topics })
  if (topics.length === 0) return say('No contract names a topic.')
  printTable(topics, [
    { name: 'TOPIC', of: ({ topic }) => topic },
    { name: 'PARTITIONS', of: ({ state }) => state?.partitions ?? 'missing', right: true },
    { name: 'REPLICAS', of: ({ state }) => state?.replicationFactor ?? null, right: true },
    { name: 'IN SYNC', of: ({ state }) => settingOf(state, 'min.insync.replicas'), right: true },
    { name: 'RETENTION', of: ({ state }) => retentionOf(state) },
    { name: 'POLICY', of: ({ state }) => settingOf(state, 'cleanup.policy') },
    ...(flags.all === true ? [{ name: 'CONTRACTS', of: ({ inCatalogue }: ListedTopic) => (inCatalogue ? 'yes' : 'no') }] : []),
  ])
}

/** What a topic does not say itself, its brokers decide. */
function settingOf(state: TopicState | null, name: string): string | null {
  if (state === null) return null
  return state.settings[name] ?? 'brokers'
}

function retentionOf(state: TopicState | null): string | null {
  const ms = settingOf(state, 'retention.ms')
  if (ms === null || ms === 'brokers') return ms
  return ms === '-1' ? 'forever' : age(Number(ms))
}
