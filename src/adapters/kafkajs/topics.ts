import type { TopicState } from '../../core/broker/log-admin.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { partitionsRefused, settingsRefused } from '../wire/topic-refusals.ts'
import { FROM_TOPIC, TOPIC } from '../wire/topic-settings.ts'
import type { CommittedOffsets } from '../wire/wire-admin.ts'
import type { KafkajsClient } from './client.ts'
import { isTopicExisting, refusalOf } from './errors.ts'

/** @returns whether there was none of that name */
export async function createTopic(client: KafkajsClient, spec: TopicSpec): Promise<boolean> {
  const { name, partitions, replicationFactor, settings = {} } = spec
  const configEntries = Object.entries(settings).map(([key, value]) => ({ name: key, value }))
  const topic = { topic: name, numPartitions: partitions, replicationFactor, configEntries }
  try {
    return await client.admin().createTopics({ topics: [topic], waitForLeaders: false })
  } catch (error) {
    if (isTopicExisting(error)) return false
    const refusal = refusalOf(error)
    throw refusal === undefined ? error : settingsRefused(name, Object.keys(settings), refusal)
  }
}

export async function listTopics(client: KafkajsClient): Promise<readonly string[]> {
  const names = await client.admin().listTopics()
  return names.filter((name) => !name.startsWith('__')).toSorted()
}

export async function describeTopic(client: KafkajsClient, name: string): Promise<TopicState> {
  const { topics } = await client.admin().fetchTopicMetadata({ topics: [name] })
  const partitions = topics[0]?.partitions ?? []
  return {
    id: null,
    partitions: partitions.length,
    replicationFactor: Math.max(0, ...partitions.map(({ replicas }) => replicas.length)),
    settings: await settingsOf(client, name),
  }
}

/** kafkajs knows no incremental change: what is sent replaces all settings of the topic, so those that it has are sent with it. */
export async function changeSettings(client: KafkajsClient, topic: string, settings: TopicSettings): Promise<void> {
  const merged = Object.entries({ ...(await settingsOf(client, topic)), ...settings })
  const configEntries = merged.map(([name, value]) => ({ name, value }))
  try {
    await client.admin().alterConfigs({ validateOnly: false, resources: [{ type: TOPIC, name: topic, configEntries }] })
  } catch (error) {
    const refusal = refusalOf(error)
    throw refusal === undefined ? error : settingsRefused(topic, Object.keys(settings), refusal)
  }
}

export async function raisePartitions(client: KafkajsClient, topic: string, count: number): Promise<void> {
  try {
    await client.admin().createPartitions({ topicPartitions: [{ topic, count }], validateOnly: false })
  } catch (error) {
    const refusal = refusalOf(error)
    throw refusal === undefined ? error : partitionsRefused(topic, count, refusal)
  }
}

/** Of the groups that have committed something of the topic, sorted by name. */
export async function committedOf(client: KafkajsClient, topic: string): Promise<readonly CommittedOffsets[]> {
  const admin = client.admin()
  const { groups } = await admin.listGroups()
  const committed: CommittedOffsets[] = []
  for (const { groupId } of groups.toSorted((a, b) => (a.groupId < b.groupId ? -1 : 1))) {
    const [ofTopic] = await admin.fetchOffsets({ groupId, topics: [topic] })
    const known = (ofTopic?.partitions ?? []).filter(({ offset }) => offset !== '-1')
    if (known.length > 0) committed.push({ group: groupId, offsets: new Map(known.map((one) => [one.partition, BigInt(one.offset)])) })
  }
  return committed
}

async function settingsOf(client: KafkajsClient, topic: string): Promise<TopicSettings> {
  const { resources } = await client.admin().describeConfigs({ includeSynonyms: false, resources: [{ type: TOPIC, name: topic }] })
  const own = (resources[0]?.configEntries ?? []).filter((entry) => Reflect.get(entry, 'configSource') === FROM_TOPIC)
  return Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]))
}
