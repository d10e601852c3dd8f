import { type ITopicConfig, Kafka, logLevel } from 'kafkajs'
import { until } from './wait.ts'

/** Creates a topic and waits until it has leaders. */
export async function createKafkaTopic(brokers: readonly string[], topic: string, numPartitions: number): Promise<void> {
  const config: ITopicConfig = { topic, numPartitions, replicationFactor: 1 }
  await withAdmin(brokers, async (admin) => {
    // kafkajs's own waiting gives up at the first "no such topic", which a broker may say for a moment.
    await admin.createTopics({ topics: [config], waitForLeaders: false })
    await until(`leaders of ${topic}`, async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]?.partitions.length === numPartitions && topics[0].partitions.every(({ leader }) => leader >= 0)
    })
  })
}

/** @returns the number of records that the topic has had */
export async function endOf(brokers: readonly string[], topic: string): Promise<number> {
  return await withAdmin(brokers, async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic)
    return offsets.reduce((sum, { high }) => sum + Number(high), 0)
  })
}

async function withAdmin<Result>(
  brokers: readonly string[],
  work: (admin: ReturnType<Kafka['admin']>) => Promise<Result>,
): Promise<Result> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}
