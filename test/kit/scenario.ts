import { randomBytes } from 'node:crypto'
import { inject, type TestContext, test } from 'vitest'
import { createTestDatabase } from './database.ts'
import { Run } from './run.ts'

export const hasKafka = inject('brokers').length > 0

/** A test that needs Kafka; where this machine has none, it is skipped and the suite says so. */
export function onKafka(name: string, options: { readonly timeout: number }, body: (context: TestContext) => Promise<void>): void {
  // oxlint-disable-next-line vitest/expect-expect -- the body is the caller's
  test.skipIf(!hasKafka)(name, options, body)
}

export function freshTopic(): string {
  return `${inject('runPrefix')}${randomBytes(5).toString('hex')}`
}

/** A run with a database and a topic of its own on the suite's servers. */
export async function beginRun({ partitions = 4, brokers = inject('brokers') } = {}): Promise<Run> {
  const database = await createTestDatabase()
  return await Run.begin({ brokers, databaseUrl: database.url, topic: freshTopic() }, partitions)
}
