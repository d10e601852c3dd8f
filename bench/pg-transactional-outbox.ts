import { Kafka, logLevel } from 'kafkajs'
import { DatabaseSetup, getDisabledLogger, initializePollingMessageListener } from 'pg-transactional-outbox'
import type { BenchContext } from './context.ts'
import { type Ground, measuredData, onGround } from './outbox-ground.ts'

const BATCH = 100
const DEADLINE_MS = 20_000

/**
 * The one comparable package of npm, in its polling mode, with its protections off and kafkajs as its author's example has
 * it. Messages of a segment go one after another, so each key is a segment.
 *
 * @returns events a second, as far as it came in twenty seconds
 */
export async function pgTransactionalOutbox(context: BenchContext, events: number): Promise<number> {
  return await onGround(context, 'pg-transactional-outbox', async (ground) => {
    await fill(ground, events)
    const producer = new Kafka({ brokers: [...context.stack.brokers], logLevel: logLevel.NOTHING }).producer()
    await producer.connect()
    let handled = 0
    const done = Promise.withResolvers<void>()
    const deadline = AbortSignal.timeout(DEADLINE_MS)
    deadline.addEventListener('abort', () => done.resolve())
    const began = performance.now()
    const [shutdown] = initializePollingMessageListener(
      configOf(ground),
      {
        handle: async ({ aggregateId, payload }) => {
          await producer.send({ topic: ground.topic, acks: -1, messages: [{ key: aggregateId, value: JSON.stringify(payload) }] })
          if (++handled >= events) done.resolve()
        },
      },
      getDisabledLogger(),
    )
    await done.promise
    const rate = (handled / (performance.now() - began)) * 1_000
    await shutdown()
    await producer.disconnect()
    return rate
  })
}

const setup = {
  outboxOrInbox: 'outbox' as const,
  database: 'postgres',
  schema: 'public',
  table: 'outbox',
  listenerRole: 'current_user',
  nextMessagesSchema: 'public',
  nextMessagesName: 'next_outbox_messages',
}

async function fill({ pool }: Ground, events: number): Promise<void> {
  await pool.query(DatabaseSetup.dropAndCreateTable(setup))
  await pool.query(DatabaseSetup.createPollingFunction(setup))
  await pool.query(DatabaseSetup.setupPollingIndexes(setup))
  await pool.query(fillSql, [measuredData(), events])
  await pool.query('vacuum (analyze) public.outbox')
}

function configOf({ connectionString }: Ground): Parameters<typeof initializePollingMessageListener>[0] {
  return {
    outboxOrInbox: 'outbox',
    dbListenerConfig: { connectionString },
    settings: {
      dbSchema: setup.schema,
      dbTable: setup.table,
      nextMessagesFunctionName: setup.nextMessagesName,
      nextMessagesBatchSize: BATCH,
      nextMessagesPollingIntervalInMs: 10,
      enableMaxAttemptsProtection: false,
      enablePoisonousMessageProtection: false,
    },
  }
}

const fillSql = `
  insert into public.outbox (id, aggregate_type, aggregate_id, message_type, segment, payload)
  select gen_random_uuid(), 'order', number % 1000, 'measured', number % 1000, $1::jsonb from generate_series(1, $2::int) as number`
