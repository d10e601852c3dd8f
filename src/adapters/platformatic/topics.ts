import type { TopicState } from '../../core/broker/log-admin.ts'
import type { TopicSettings, TopicSpec } from '../../core/broker/topic-plan.ts'
import { partitionsRefused, settingsRefused } from '../wire/topic-refusals.ts'
import { FROM_TOPIC, TOPIC } from '../wire/topic-settings.ts'
import type { CommittedOffsets } from '../wire/wire-admin.ts'
import type { PlatformaticClient } from './client.ts'

const SET = 0
const TOPIC_EXISTS = 36
const CHANGE_MS_MAX = 10_000

/** INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, INVALID_CONFIG, INVALID_REQUEST, POLICY_VIOLATION */
const refusals: readonly number[] = [37, 38, 40, 42, 44]

/** @returns whether there was none of that name */
export async function createTopic(
  client: PlatformaticClient,
  { name, partitions, replicationFactor, settings = {} }: TopicSpec,
): Promise<boolean> {
  const configs = Object.entries(settings).map(([key, value]) => ({ name: key, value }))
  const spec = { name, numPartitions: partitions, replicationFactor, assignments: [], configs }
  const { topics } = await client.ask('any', client.library.createTopicsV7.api, [spec], CHANGE_MS_MAX, false)
  const answer = answerOf(topics[0])
  if (answer.errorCode === TOPIC_EXISTS) return false
  demand(client, answer, (cause) => settingsRefused(name, Object.keys(settings), cause))
  return true
}

export async function listTopics(client: PlatformaticClient): Promise<readonly string[]> {
  const { topics } = await client.ask('any', client.library.metadataV12.api, null, false, false)
  const names = topics.flatMap(({ name, isInternal }) => (name === null || name === undefined || isInternal ? [] : [name]))
  return names.filter((name) => !name.startsWith('__')).toSorted()
}

export async function describeTopic(client: PlatformaticClient, name: string): Promise<TopicState> {
  const { id, leaders, replicationFactor } = await client.refreshTopic(name)
  const wanted = [{ resourceType: TOPIC, resourceName: name }] as const
  const { results } = await client.ask('any', client.library.describeConfigsV4.api, [...wanted], false, false)
  demand(client, answerOf(results[0]))
  const own = (results[0]?.configs ?? []).filter(({ configSource }) => configSource === FROM_TOPIC)
  const settings = Object.fromEntries(own.map(({ name: key, value }) => [key, value ?? '']))
  return { id, partitions: leaders.length, replicationFactor, settings }
}

export async function changeSettings(client: PlatformaticClient, topic: string, settings: TopicSettings): Promise<void> {
  const configs = Object.entries(settings).map(([name, value]) => ({ name, configOperation: SET, value }) as const)
  const changed = { resourceType: TOPIC, resourceName: topic, configs } as const
  const { responses } = await client.ask('any', client.library.incrementalAlterConfigsV1.api, [changed], false)
  demand(client, answerOf(responses[0]), (cause) => settingsRefused(topic, Object.keys(settings), cause))
}

export async function raisePartitions(client: PlatformaticClient, topic: string, count: number): Promise<void> {
  const { results } = await client.ask(
    'any',
    client.library.createPartitionsV3.api,
    [{ name: topic, count, assignments: null }],
    CHANGE_MS_MAX,
    false,
  )
  demand(client, answerOf(results[0]), (cause) => partitionsRefused(topic, count, cause))
}

/** Of the groups that have committed something of the topic, sorted by name. */
export async function committedOf(client: PlatformaticClient, topic: string, partitions: number): Promise<readonly CommittedOffsets[]> {
  const wanted = [{ name: topic, partitionIndexes: Array.from({ length: partitions }, (_, partition) => partition) }]
  const committed: CommittedOffsets[] = []
  for (const group of await groupsOf(client)) {
    const coordinator = await client.coordinatorOf(group)
    const asked = { groupId: group, memberId: null, memberEpoch: -1, topics: wanted }
    const { groups } = await client.ask(coordinator, client.library.offsetFetchV8.api, [asked], false)
    demand(client, answerOf(groups[0]))
    const known = (groups[0]?.topics[0]?.partitions ?? []).filter(({ committedOffset }) => committedOffset >= 0n)
    if (known.length > 0) committed.push({ group, offsets: new Map(known.map((one) => [one.partitionIndex, one.committedOffset])) })
  }
  return committed
}

async function groupsOf(client: PlatformaticClient): Promise<readonly string[]> {
  const brokers = await client.refreshBrokers()
  const replies = await Promise.all(brokers.map((broker) => client.ask(broker, client.library.listGroupsV4.api, [], [])))
  return replies.flatMap(({ groups }) => groups.map(({ groupId }) => groupId)).toSorted()
}

interface Answer {
  readonly errorCode: number
  readonly errorMessage: string | undefined
}

function answerOf(item: { readonly errorCode: number; readonly errorMessage?: string | null | undefined } | undefined): Answer {
  return { errorCode: item?.errorCode ?? -1, errorMessage: item?.errorMessage ?? undefined }
}

/** @param refusal what Kafka's refusal of the request means; another error is mapped as everywhere */
function demand(client: PlatformaticClient, { errorCode, errorMessage }: Answer, refusal?: (cause: Error) => Error): void {
  if (errorCode === 0) return
  const error = client.errorOf(errorCode)
  if (refusal === undefined || !refusals.includes(errorCode)) throw client.map(error)
  throw refusal(errorMessage === undefined ? error : new Error(errorMessage, { cause: error }))
}
