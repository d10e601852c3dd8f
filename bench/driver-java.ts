import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import { kafkaInstallation } from '../src/faces/stack/kafka-installation.ts'
import { Watchdog } from '../src/faces/stack/watchdog.ts'
import type { BenchContext } from './context.ts'

/** What Kafka's own producer, tuned, sends to the same broker. @returns records/s; `undefined` where Kafka's jars are not on this machine */
export async function javaProducer({ stack, events, say }: BenchContext): Promise<number | undefined> {
  const watchdog = new Watchdog()
  try {
    const installation = await kafkaInstallation({ watchdog, env: process.env, say })
    if (!('classpath' in installation)) return undefined
    const topic = `trunkline-bench-java-${process.pid}`
    const { admin } = kafkajsLog({ brokers: stack.brokers, clientId: 'bench' })
    await admin.createTopics([{ name: topic, partitions: 4, replicationFactor: 1 }])
    await admin.close()
    const load = ['--topic', topic, '--num-records', String(events * 5), '--record-size', '300', '--throughput', '-1']
    const settings = [`bootstrap.servers=${stack.brokers.join(',')}`, 'acks=all', 'batch.size=131072', 'linger.ms=5']
    const { stdout } = await promisify(execFile)(
      installation.java.executable,
      ['-cp', installation.classpath, 'org.apache.kafka.tools.ProducerPerformance', ...load, '--producer-props', ...settings],
      { timeout: 120_000 },
    )
    return Number(/([\d.]+) records\/sec/.exec(stdout.trimEnd().split('\n').at(-1) ?? '')?.[1])
  } finally {
    await watchdog.close()
  }
}
