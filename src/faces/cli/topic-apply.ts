import { Command } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { readTopicRecord } from '../../adapters/postgres/queries/topics.ts'
import { raisePartitions } from '../../adapters/postgres/raise-partitions.ts'
import type { LogAdmin } from '../../core/broker/log-admin.ts'
import type { TopicDifference, TopicPlan } from '../../core/broker/topic-differences.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { ConfigurationError, StuckError } from '../../foundation/errors.ts'
import { type ActFlags, consent, takesConsent } from './consent.ts'
import { exitCodes } from './exit-codes.ts'
import { type AddressFlags, actor, takesDatabase, takesJson, takesKafka, withLog } from './operator.ts'
import { count, printJson, say } from './print.ts'
import { schemasFlag } from './schema-project.ts'
import { printPlans } from './topic-plan.ts'
import { loadTopicSpecs, planTopics, withOptionalDatabase } from './topic-project.ts'

interface ApplyFlags extends AddressFlags, ActFlags {
  readonly schemas?: string
  readonly raisePartitions?: boolean
  readonly json?: boolean
}

interface Apply {
  readonly admin: LogAdmin
  readonly database: Database<Transaction> | undefined
  readonly reason: string
}

export function topicApplyCommand(): Command {
  const command = new Command('apply')
    .description('create missing topics and change settings; ends with 3 when something is left that it does not do')
    .option(...schemasFlag)
    .option('--raise-partitions', "also give topics more partitions: takes the relay's lease, and waits for nobody")
  return takesJson(takesConsent(takesKafka(takesDatabase(command)))).action(apply)
}

async function apply(flags: ApplyFlags): Promise<void> {
  const specs = await loadTopicSpecs(flags)
  await withOptionalDatabase(flags, 'topic apply', async (database) => {
    await withLog(flags, async ({ admin }) => {
      const plans = await planTopics(specs, admin, database)
      if (flags.json !== true) printPlans(plans, flags.raisePartitions)
      const todo = plans.flatMap((plan) =>
        plan.differences.filter((one) => isDone(one, flags)).map((difference) => ({ topic: plan.topic, difference })),
      )
      const reason = todo.length === 0 ? undefined : await consent(flags, `Change Kafka: ${count(todo.length, 'difference')}`)
      if (reason !== undefined) for (const { topic, difference } of todo) await carryOut({ admin, database, reason }, topic, difference)
      report(flags, plans, reason === undefined ? 0 : todo.length)
    })
  })
}

function isDone({ kind }: TopicDifference, { raisePartitions: raises = false }: ApplyFlags): boolean {
  return kind === 'create' || kind === 'change' || (kind === 'raise' && raises)
}

function report(flags: ApplyFlags, plans: readonly TopicPlan[], done: number): void {
  const left = plans.reduce((sum, { differences }) => sum + differences.length, 0) - done
  if (left > 0) process.exitCode = exitCodes.findings
  if (flags.json === true) printJson({ topics: plans, done, left })
  else say(left === 0 ? `Done: ${count(done, 'difference')}.` : `Done: ${count(done, 'difference')}; ${count(left, 'difference')} left.`)
}

async function carryOut(parts: Apply, topic: string, difference: TopicDifference): Promise<void> {
  const { admin } = parts
  if (difference.kind === 'create') await admin.createTopics([difference.spec])
  else if (difference.kind === 'change') await admin.changeSettings(topic, { [difference.setting]: difference.to })
  else if (difference.kind === 'raise') await raise(parts, topic, difference)
}

/** PROTOCOLS' procedure for another count: no relay, nothing unread, no key that waits; then the topic, then the count. */
async function raise(
  { admin, database, reason }: Apply,
  topic: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  if (database === undefined) throw databaseNeeded(topic)
  const change = async (): Promise<void> => {
    const actual = (await admin.partitionsOf(topic)) ?? 0
    if (actual < to) await admin.raisePartitions(topic, to)
  }
  const demandQuiet = (): Promise<void> => demandNothingLeft(admin, database, topic)
  await raisePartitions(
    { database, audit: new PostgresAuditLog(database) },
    { topic, from, to, actor: actor(), reason, demandQuiet, change },
  )
  say(`Topic "${topic}" has ${to} partitions. Other services that publish to it must be told the same way, in their databases.`)
}

/** @throws StuckError `GROUP_BEHIND`, `KEYS_PARKED` */
async function demandNothingLeft(admin: LogAdmin, database: Database<Transaction>, topic: string): Promise<void> {
  const behind = (await admin.lagsOf(topic)).filter(({ lag }) => lag > 0n)
  const { positions, parkedKeys } = await readTopicRecord(database.outside, topic)
  for (const { group, partition, next } of positions) {
    const { latest } = await admin.rangeOf({ topic, partition })
    if (latest > next) behind.push({ group, lag: latest - next })
  }
  const [first] = behind
  if (first !== undefined) throw groupBehind(topic, first.group, first.lag)
  if (parkedKeys > 0) throw keysParked(topic, parkedKeys)
}

function databaseNeeded(topic: string): ConfigurationError {
  return new ConfigurationError(
    'DATABASE_UNKNOWN',
    `The partitions of "${topic}" can be raised only with the database of the service that publishes to it, which remembers by which count keys are hashed: set DATABASE_URL, or pass --database-url.`,
  )
}

function groupBehind(topic: string, group: string, lag: bigint): StuckError {
  return new StuckError(
    'GROUP_BEHIND',
    `Group "${group}" has ${lag} records of "${topic}" still to read, and later ones of their keys would overtake them. Let it catch up while nothing is published, or delete the group in Kafka if nobody consumes it any more. Nothing was changed.`,
    { topic, group, lag: String(lag) },
  )
}

function keysParked(topic: string, keys: number): StuckError {
  return new StuckError(
    'KEYS_PARKED',
    `${keys} keys of "${topic}" are parked, and later messages would overtake them. Wait for their retries, or redrive or discard their dead letters ("trunkline failure list"). Nothing was changed.`,
    { topic, keys },
  )
}
