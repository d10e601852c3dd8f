import { Consumer as BareConsumer, Producer as BareProducer, MessagesStreamModes } from '@platformatic/kafka'
import { type Consumer, Kafka, logLevel, type Producer } from 'kafkajs'
import type { LogDriver } from '../src/core/broker/log-driver.ts'
import type { LogRecord } from '../src/core/broker/log-producer.ts'
import { CountingListener } from './counting-listener.ts'
import { ports } from './driver-ports.ts'

/** Sends finished batches to one topic. What it needs to make of them is made before the clock starts. */
export interface Feeder {
  /** @returns what sends one batch to one partition and resolves when it is acknowledged by all replicas */
  prepare(topic: string, partition: number, records: readonly LogRecord[]): () => Promise<void>
  stop(): Promise<void>
}

/** Reads a topic from its beginning. */
export interface Drainer {
  stop(): Promise<void>
}

export interface BenchClient {
  readonly name: string
  feeder(brokers: readonly string[]): Promise<Feeder>
  drainer(brokers: readonly string[], topic: string, onRecords: (values: readonly (Buffer | null)[]) => void): Promise<Drainer>
}

const SOON_MS = 60_000
let groups = 0

function newGroup(): string {
  return `bench-${process.pid}-${groups++}`
}

/** kafkajs as it comes, used as its documentation advises: batches, all replicas, partitions consumed side by side. */
export const stock: BenchClient = {
  name: 'stock kafkajs',
  feeder: async (brokers) => {
    const producer: Producer = stockClient(brokers).producer({ allowAutoTopicCreation: false })
    await producer.connect()
    return {
      prepare: (topic, partition, records) => {
        const messages = records.map(({ key, value, headers, timestampMs }) => ({
          partition,
          key,
          value,
          headers: Object.fromEntries(headers),
          timestamp: String(timestampMs),
        }))
        return async () => {
          await producer.send({ topic, acks: -1, messages })
        }
      },
      stop: () => producer.disconnect(),
    }
  },
  drainer: async (brokers, topic, onRecords) => {
    const consumer: Consumer = stockClient(brokers).consumer({ groupId: newGroup(), maxWaitTimeInMs: 250 })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: 4,
      eachBatch: async ({ batch }) => onRecords(batch.messages.map(({ value }) => value)),
    })
    return { stop: () => consumer.disconnect() }
  },
}

function stockClient(brokers: readonly string[]): Kafka {
  return new Kafka({ brokers: [...brokers], clientId: 'bench', logLevel: logLevel.NOTHING })
}

/** `@platformatic/kafka` as it comes. */
export const bare: BenchClient = {
  name: 'bare @platformatic/kafka',
  feeder: async (brokers) => {
    const producer = new BareProducer({ clientId: 'bench', bootstrapBrokers: [...brokers], acks: -1, autocreateTopics: false })
    return {
      prepare: (topic, partition, records) => {
        const messages = records.map(({ key, value, headers, timestampMs }) => ({
          topic,
          partition,
          ...(key === null ? {} : { key }),
          ...(value === null ? {} : { value }),
          headers: new Map(headers.map(([name, bytes]) => [Buffer.from(name), bytes])),
          timestamp: BigInt(timestampMs),
        }))
        return async () => {
          await producer.send({ messages })
        }
      },
      stop: async () => await producer.close(),
    }
  },
  drainer: async (brokers, topic, onRecords) => {
    const consumer = new BareConsumer({ clientId: 'bench', bootstrapBrokers: [...brokers], groupId: newGroup() })
    const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST, autocommit: false, maxWaitTime: 250 })
    stream.on('data', ({ value }) => onRecords([value]))
    return {
      stop: async () => {
        await stream.close()
        await consumer.close()
      },
    }
  },
}

/** The port over one of our drivers. */
export function ported(name: string, driver: (brokers: readonly string[]) => LogDriver): BenchClient {
  return {
    name,
    feeder: async (brokers) => {
      const { producer, admin } = driver(brokers)
      await producer.start(AbortSignal.timeout(SOON_MS))
      return {
        prepare: (topic, partition, records) => async () => {
          const outcome = await producer.append({ topic, partition }, records)
          if (outcome.status !== 'acked') throw outcome.reason
        },
        stop: async () => {
          await producer.stop(5_000)
          await admin.close()
        },
      }
    },
    drainer: async (brokers, topic, onRecords) => {
      const { consumers, admin } = driver(brokers)
      const consumer = consumers.consumer(newGroup(), [topic])
      await consumer.start(new CountingListener(onRecords), AbortSignal.timeout(SOON_MS))
      return {
        stop: async () => {
          await consumer.stop(2_000)
          await admin.close()
        },
      }
    },
  }
}

export const ours = ported('our port on kafkajs', ports.kafkajs)
export const oursOnPlatformatic = ported('our port on platformatic', ports.platformatic)

/** A record that says when it was made. */
export function recordFor(madeAt: number): LogRecord {
  const value = Buffer.alloc(300)
  value.writeDoubleBE(madeAt, 0)
  return { key: null, value, headers: [], timestampMs: Date.now() }
}
