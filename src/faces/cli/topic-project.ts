import { join } from 'node:path'
import { z } from 'zod'
import { readTopicRecord, type TopicRecord } from '../../adapters/postgres/queries/topics.ts'
import { backboneOptions } from '../../config.ts'
import type { LogAdmin, TopicState } from '../../core/broker/log-admin.ts'
import { planTopic, type TopicMemory, type TopicPlan } from '../../core/broker/topic-differences.ts'
import { specOf } from '../../core/broker/topic-options.ts'
import type { TopicSpec } from '../../core/broker/topic-plan.ts'
import { loadCatalogue } from '../../core/contract/catalogue.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { isTrunklineError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { loadConfigFile } from './config-file.ts'
import { type AddressFlags, databaseUrl, withDatabase } from './operator.ts'

const projectOptions = z.object({ schemas: backboneOptions.shape.schemas, topics: backboneOptions.shape.topics })

/** The topics of a project: those that its contracts name, as its configuration describes them. */
export async function loadTopicSpecs(flags: { readonly schemas?: string }): Promise<readonly TopicSpec[]> {
  const { schemas, topics } = parseOptions(projectOptions, await loadConfigFile(process.cwd()), 'trunkline.config.ts')
  const names = loadCatalogue(join(process.cwd(), flags.schemas ?? schemas)).topics()
  return names.map((name) => specOf(name, topics))
}

/** Opens the service's database if one is named: without it Kafka alone is compared. */
export async function withOptionalDatabase<Result>(
  flags: AddressFlags,
  command: string,
  work: (database: Database<Transaction> | undefined) => Promise<Result>,
): Promise<Result> {
  const url = await databaseUrl(flags).catch((error: unknown) => {
    if (isTrunklineError(error, 'DATABASE_UNKNOWN')) return undefined
    throw error
  })
  if (url === undefined) return await work(undefined)
  return await withDatabase(flags, command, work)
}

/** Compares each topic with what it is in Kafka, and with what the service remembers of it. */
export async function planTopics(
  specs: readonly TopicSpec[],
  admin: LogAdmin,
  database: Database<Transaction> | undefined,
): Promise<readonly TopicPlan[]> {
  const plans: TopicPlan[] = []
  for (const spec of specs) {
    const state = await admin.describeTopic(spec.name)
    const record = database === undefined ? undefined : await readTopicRecord(database.outside, spec.name)
    const memory: TopicMemory = {
      hashedWith: record?.hashedWith,
      recreated: state === undefined || record === undefined ? undefined : await recreated(admin, spec.name, state, record),
    }
    plans.push(planTopic(spec, state, memory))
  }
  return plans
}

/** By its id where the driver knows it, else by offsets that went back. */
async function recreated(admin: LogAdmin, topic: string, state: TopicState, { positions }: TopicRecord): Promise<string | undefined> {
  for (const { group, partition, next, topicId } of positions) {
    if (topicId !== null && state.id !== null && topicId !== state.id)
      return `its id is ${state.id}, and group "${group}" has read ${topicId}`
    if (partition >= state.partitions) return `group "${group}" has read a partition ${partition}, which it does not have`
    const { latest } = await admin.rangeOf({ topic, partition })
    if (next > latest) return `group "${group}" has read to offset ${next} of partition ${partition}, which ends at ${latest}`
  }
  return undefined
}
