import { randomBytes } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import type { TestProject } from 'vitest/node'
import { dropDatabases } from '../../src/adapters/postgres/server-databases.ts'
import { type Stack, startStack } from '../../src/faces/stack/stack.ts'
import { type Containers, startContainers } from './containers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Addresses of the brokers; empty when this machine cannot run Kafka, and then the suites that need it skip. */
    brokers: readonly string[]
    /** A database on the server to make others from: see `createTestDatabase`. */
    databaseUrl: string
    /** What names of databases, topics and groups of this run begin with: a given server may hold others. */
    runPrefix: string
  }
}

interface Given {
  readonly brokers: readonly string[] | undefined
  readonly databaseUrl: string | undefined
}

/** Starts the servers that every suite shares, once per run, and says which they are. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given: Given = {
    brokers: process.env['TRUNKLINE_TEST_KAFKA_BROKERS']?.split(',').filter(Boolean),
    databaseUrl: process.env['TRUNKLINE_TEST_DATABASE_URL'] || undefined,
  }
  const containers = await startContainers({ kafka: given.brokers === undefined, postgres: given.databaseUrl === undefined })
  const stack = await startStack({
    given: { brokers: given.brokers ?? containers.brokers, databaseUrl: given.databaseUrl ?? containers.databaseUrl },
    withoutDocker: containers.why,
    real: process.env['TRUNKLINE_STACK'] === 'real',
    env: process.env,
    say: () => undefined,
  })
  const runPrefix = `trunkline-test-${randomBytes(4).toString('hex')}-`
  console.log(`The suites run on: ${stack.servers.map((server) => server.line).join(' ')}`)
  if (stack.brokers.length === 0) console.log('Suites that need Kafka are skipped.')

  project.provide('brokers', [...stack.brokers])
  project.provide('databaseUrl', stack.databaseUrl)
  project.provide('runPrefix', runPrefix)
  return () => tearDown({ stack, containers, given }, runPrefix)
}

async function tearDown(
  { stack, containers, given }: { readonly stack: Stack; readonly containers: Containers; readonly given: Given },
  runPrefix: string,
): Promise<void> {
  try {
    // Servers of ours go away with all they hold; given ones keep nothing of this run.
    if (given.databaseUrl !== undefined) await dropDatabases(given.databaseUrl, runPrefix)
    if (given.brokers !== undefined && given.brokers.length > 0) await deleteFromKafka(given.brokers, runPrefix)
  } finally {
    await stack.stop()
    await containers.stop()
  }
}

async function deleteFromKafka(brokers: readonly string[], prefix: string): Promise<void> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  try {
    await admin.connect()
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix))
    if (topics.length > 0) await admin.deleteTopics({ topics })
    const groups = (await admin.listGroups()).groups.map((group) => group.groupId).filter((id) => id.startsWith(prefix))
    if (groups.length > 0) await admin.deleteGroups(groups)
  } finally {
    await admin.disconnect()
  }
}
