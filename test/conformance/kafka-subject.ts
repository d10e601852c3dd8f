import { createRequire } from 'node:module'
import { Producer } from '@platformatic/kafka'
import type { Admin, Kafka } from 'kafkajs'
import { PlatformaticClient } from '../../src/adapters/platformatic/client.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { until } from '../kit/wait.ts'
import { appended, type ForeignWriter, type LogSubject, record } from './log-subject.ts'

const LIMITS = { waitMs: 0, bytesMax: 10_000_000, partitionBytesMax: 10_000_000 }

/** A driver on real brokers. What judges it is asked of the clients themselves, so that it shares nothing with what it judges. */
export function kafkaSubject(brokers: readonly string[], newDriver: () => LogDriver): LogSubject {
  return {
    driver: newDriver,
    committed: async (group, topic, partition) => {
      const [offsets] = await withAdmin(brokers, (admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }))
      const offset = offsets?.partitions.find((each) => each.partition === partition)?.offset
      return offset === undefined || offset === '-1' ? undefined : BigInt(offset)
    },
    truncate: (topic, partition, before) =>
      withAdmin(brokers, async (admin) => {
        await admin.fetchTopicOffsets(topic) // it deletes only from topics whose leaders it has asked for
        await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })
      }),
    compact: (topic) => compact(brokers, newDriver(), topic),
    deleteTopic: async (topic) => {
      await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] }))
      await until(`the end of ${topic}`, async () => !(await withAdmin(brokers, (admin) => admin.listTopics())).includes(topic))
    },
    foreign: foreignWriter(brokers),
    close: async () => undefined,
  }
}

function clientOf(brokers: readonly string[]): Kafka {
  const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')
  return new Client({ brokers: [...brokers], clientId: 'judge', logLevel: 0 })
}

async function withAdmin<Result>(brokers: readonly string[], work: (admin: Admin) => Promise<Result>): Promise<Result> {
  const admin = clientOf(brokers).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** A record of a later time makes the broker begin a segment, and the one before can be compacted. */
async function compact(brokers: readonly string[], driver: LogDriver, topic: string): Promise<void> {
  const client = new PlatformaticClient({ brokers, clientId: 'judge' })
  await client.connect()
  await driver.producer.start(AbortSignal.timeout(10_000))
  const key = Buffer.from('the newest')
  try {
    const before = await countOf(client, topic)
    await appended(driver.producer, topic, 0, [record('x', { key, timestampMs: Date.now() + 1_000 })])
    await until(`the compaction of ${topic}`, async () => (await countOf(client, topic)) < before, 25_000)
  } finally {
    client.destroy('The topic is compacted.')
    await driver.producer.stop(1_000)
    await driver.admin.close()
  }
}

async function countOf(client: PlatformaticClient, topic: string): Promise<number> {
  const leader = await client.leaderIdOf({ topic, partition: 0 })
  const { responses } = await client.fetch(leader, [{ topic, partition: 0, offset: 0n }], LIMITS)
  return responses[0]?.partitions[0]?.messages.length ?? 0
}

function foreignWriter(brokers: readonly string[]): ForeignWriter {
  const send = async (
    options: Partial<ConstructorParameters<typeof Producer>[0]>,
    messages: Parameters<Producer['send']>[0]['messages'],
  ) => {
    const producer = new Producer({ clientId: 'foreign', bootstrapBrokers: [...brokers], ...options })
    try {
      await producer.send({ messages, acks: -1 })
    } finally {
      await producer.close()
    }
  }
  return {
    compressed: (topic, compression, values) =>
      send(
        { compression },
        values.map((value) => ({ topic, partition: 0, value: Buffer.from(value) })),
      ),
    withHeaders: (topic, headers) => {
      const pairs = headers.map(([name, value]) => [Buffer.from(name), value] as const)
      return send({}, [{ topic, partition: 0, value: Buffer.from('x'), headers: new Map(pairs) as Map<Buffer, Buffer> }])
    },
    aborted: async (topic) => {
      const producer = clientOf(brokers).producer({ idempotent: true, maxInFlightRequests: 1, transactionalId: `judge-${topic}` })
      await producer.connect()
      try {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [0, 1].map(() => ({ partition: 0, key: Buffer.alloc(4), value: 'aborted' })) })
        await transaction.abort()
      } finally {
        await producer.disconnect()
      }
    },
  }
}
