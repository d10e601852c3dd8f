import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { kafkajsLog } from '../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogDriver } from '../src/core/broker/log-driver.ts'
import type { TopicPartition } from '../src/core/broker/log-producer.ts'
import { KafkaCluster } from '../test/kit/kafka-cluster.ts'
import type { BenchContext } from './context.ts'
import { CountingListener } from './counting-listener.ts'
import { recordFor } from './driver-clients.ts'
import { type Row, toRow } from './result.ts'

const PARTITIONS = [0, 1, 2, 3]
const TOPIC = 'failover'
const GROUP = 'failover'
const PAUSE_MS = 50
/** Kafka's own: the three nodes of a test notice a dead one sooner. */
const KAFKA_DEFAULTS = ['broker.session.timeout.ms=9000', 'broker.heartbeat.interval.ms=2000', 'replica.lag.time.max.ms=30000']
const program = fileURLToPath(new URL('./programs/driver.ts', import.meta.url))

/** How long nothing is written or read after a process has died: a broker and a consumer by SIGKILL, a consumer by SIGTERM. */
export async function failover({ say }: BenchContext): Promise<readonly Row[]> {
  say('failover: three brokers of Kafka with its default time limits')
  await using cluster = await KafkaCluster.start({ nodes: 3, settings: () => KAFKA_DEFAULTS })
  const log = kafkajsLog({ brokers: cluster.brokers, clientId: 'bench' })
  try {
    await log.admin.createTopics([{ name: TOPIC, partitions: PARTITIONS.length, replicationFactor: 3 }])
    await log.producer.start(AbortSignal.timeout(60_000))
    const killed = await untilRead(log, cluster, 'SIGKILL')
    const stopped = await untilRead(log, cluster, 'SIGTERM')
    const produced = await untilProduced(log, cluster)
    say(
      `broker killed: ${produced.toFixed(1)} s until all is written; consumer killed: ${killed.toFixed(1)} s, stopped: ${stopped.toFixed(1)} s`,
    )
    return [
      toRow({ bench: 'driver', name: 'broker SIGKILL → producing to all partitions', unit: 's', figure: produced, atMost: 15 }),
      toRow({ bench: 'driver', name: 'consumer SIGKILL → its partitions read again', unit: 's', figure: killed, atMost: 15 }),
      toRow({ bench: 'driver', name: 'consumer SIGTERM → its partitions read again', unit: 's', figure: stopped, atMost: 3 }),
    ]
  } finally {
    await log.producer.stop(2_000)
    await log.admin.close()
  }
}

/** The node that leads most partitions dies. */
async function untilProduced(log: LogDriver, cluster: KafkaCluster): Promise<number> {
  await Promise.all(PARTITIONS.map((partition) => appendUntilAcked(log, { topic: TOPIC, partition })))
  const startedAt = performance.now()
  await cluster.end(1, 'SIGKILL')
  await Promise.all(PARTITIONS.map((partition) => appendUntilAcked(log, { topic: TOPIC, partition })))
  return (performance.now() - startedAt) / 1_000
}

async function appendUntilAcked({ producer }: LogDriver, target: TopicPartition): Promise<void> {
  while ((await producer.append(target, [recordFor(0)])).status !== 'acked') await sleep(PAUSE_MS)
}

/** Two members share the partitions; one ends. @returns seconds until the other has read a newer record of each partition */
async function untilRead(log: LogDriver, cluster: KafkaCluster, signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
  const member = spawn(process.execPath, [program, 'member', 'kafkajs', cluster.brokers.join(','), TOPIC, '0', GROUP], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await says(member, 'joined')
  const newest = new Map<number, number>()
  const consumer = log.consumers.consumer(GROUP, [TOPIC])
  const listener = new CountingListener((values, { partition }) => newest.set(partition, values.at(-1)?.readDoubleBE(0) ?? 0))
  await consumer.start(listener, AbortSignal.timeout(60_000))
  const feeding = new AbortController()
  const fed = Promise.all(PARTITIONS.map((partition) => feed(log, { topic: TOPIC, partition }, feeding.signal)))
  try {
    // Both members have their share when this one reads from some partitions and not from all.
    await sleep(3_000)
    const startedAt = performance.now()
    member.kill(signal)
    while (PARTITIONS.some((partition) => (newest.get(partition) ?? 0) < startedAt)) await sleep(10)
    return (performance.now() - startedAt) / 1_000
  } finally {
    feeding.abort()
    await fed
    await consumer.stop(2_000)
    member.kill('SIGKILL')
  }
}

async function feed({ producer }: LogDriver, target: TopicPartition, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await producer.append(target, [recordFor(performance.now())])
    await sleep(PAUSE_MS)
  }
}

async function says(child: ChildProcess, line: string): Promise<void> {
  let output = ''
  while (!output.includes(line)) {
    const [chunk] = await once(child.stdout ?? child, 'data')
    output += String(chunk)
  }
}
