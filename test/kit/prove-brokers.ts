import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { kafkajsLog } from '../../src/adapters/kafkajs/kafkajs-log.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { KafkaProxy } from './kafka-proxy.ts'
import { type LoadReport, LogLoad } from './log-load.ts'
import { Random } from './random.ts'
import { until } from './wait.ts'

const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')

const NODES = 3
const PARTITIONS = 6
/** In all seeds of one run together, whatever their number. */
const LEADER_LOSSES = 50
/** Longer than the session of a broker in a test: another one leads then. */
const FROZEN_MS = 5_000
const WITHOUT_MAJORITY_MS = 6_000
/** What a client waits for an answer; a connection that is half open is noticed then. */
const NOTICED_WITHIN_MS = 60_000

type Fault = 'killed' | 'frozen' | 'stopped'

/** Runs the proof over several seeds and prints what came of it. @returns whether nothing was lost or reordered, and every fault fired */
export async function proveBrokers(seeds: number, from: number): Promise<boolean> {
  let holds = true
  for (let seed = from; seed < from + seeds; seed++) {
    const lossesMin = Math.ceil(LEADER_LOSSES / seeds)
    holds = report(`brokers seed ${seed}: three brokers`, await threeBrokers(new Random(seed), lossesMin)) && holds
    holds = report(`brokers seed ${seed}: one broker, behind a network that loses`, await badNetwork(new Random(seed))) && holds
  }
  return holds
}

interface Proved {
  readonly faults: string
  readonly load: LoadReport
}

function report(name: string, { faults, load }: Proved): boolean {
  const { acked, repeated, unknown, refused, violations } = load
  const verdict = violations.length === 0 ? 'holds' : 'DOES NOT HOLD'
  console.log(
    `${name}: ${verdict} · ${faults} · ${acked} acknowledged, ${repeated} repeated, ${unknown} unknown, ${refused} refused before the append`,
  )
  for (const line of violations.slice(0, 20)) console.log(`  ${line}`)
  return violations.length === 0
}

/** Leaders are killed, frozen and stopped in turn; then every node is restarted in turn; then two of three are gone. */
async function threeBrokers(random: Random, lossesMin: number): Promise<Proved> {
  await using cluster = await KafkaCluster.start({ nodes: NODES })
  const log = kafkajsLog({ brokers: cluster.brokers, clientId: 'prove' })
  const judge = new Client({ brokers: [...cluster.brokers], clientId: 'judge', logLevel: 0 }).admin()
  await judge.connect()
  await log.admin.createTopics([{ name: 'proved', partitions: PARTITIONS, replicationFactor: NODES }])
  const load = new LogLoad(log, log, { topic: 'proved', partitions: PARTITIONS, group: 'proved' })
  try {
    await load.start()
    const counts: Record<Fault, number> = { killed: 0, frozen: 0, stopped: 0 }
    const faults: readonly Fault[] = ['killed', 'frozen', 'stopped']
    let [lost, slowestMs] = [0, 0]
    for (let round = 0; lost < lossesMin; round++) {
      await load.progress()
      const leaders = await untilHealthy(judge, cluster)
      const victim = leaders[random.between(0, leaders.length - 1)] ?? 1
      const fault = faults[round % faults.length] ?? 'killed'
      counts[fault] += leaders.filter((leader) => leader === victim).length
      lost += leaders.filter((leader) => leader === victim).length
      await end(cluster, victim, fault)
      slowestMs = Math.max(slowestMs, await load.progress(NOTICED_WITHIN_MS))
      if (fault === 'frozen') cluster.thaw(victim)
      else await cluster.restart(victim)
    }
    await rollingRestart(cluster, judge, load)
    await withoutMajority(cluster, judge, load)
    const told = Object.entries(counts).map(([fault, count]) => `${count} ${fault}`)
    const faultsTold = `${lost} leaders lost (${told.join(', ')}), writing again after ${(slowestMs / 1_000).toFixed(1)} s at most, 1 rolling restart, 1 loss of two brokers of three`
    return { faults: faultsTold, load: await load.finish() }
  } finally {
    await judge.disconnect()
    await stop(log)
  }
}

async function end(cluster: KafkaCluster, id: number, fault: Fault): Promise<void> {
  if (fault === 'frozen') {
    cluster.freeze(id)
    await pause(FROZEN_MS)
  } else await cluster.end(id, fault === 'killed' ? 'SIGKILL' : 'SIGTERM')
}

/** Resolves when every replica of every partition is in sync. @returns the leader of each partition */
async function untilHealthy(judge: Admin, cluster: KafkaCluster): Promise<readonly number[]> {
  await cluster.untilWhole()
  return await until(
    'every replica to be in sync',
    async () => {
      const { topics } = await judge.fetchTopicMetadata({ topics: ['proved'] })
      const partitions = topics[0]?.partitions ?? []
      return (
        partitions.length === PARTITIONS && partitions.every(({ isr }) => isr.length === NODES) && partitions.map(({ leader }) => leader)
      )
    },
    90_000,
  )
}

async function rollingRestart(cluster: KafkaCluster, judge: Admin, load: LogLoad): Promise<void> {
  for (const id of cluster.ids) {
    await untilHealthy(judge, cluster)
    await cluster.end(id, 'SIGTERM')
    await load.progress(NOTICED_WITHIN_MS)
    await cluster.restart(id)
  }
}

/** Fewer replicas than `min.insync.replicas`, and no majority to elect anybody: nothing can be written until one is back. */
async function withoutMajority(cluster: KafkaCluster, judge: Admin, load: LogLoad): Promise<void> {
  await untilHealthy(judge, cluster)
  await cluster.end(1, 'SIGKILL')
  await cluster.end(2, 'SIGKILL')
  await pause(WITHOUT_MAJORITY_MS)
  await Promise.all([cluster.restart(1), cluster.restart(2)])
  await load.progress(120_000)
}

/** Replies are lost, delayed and cut, and connections swallow what they are given. */
async function badNetwork(random: Random): Promise<Proved> {
  await using cluster = await KafkaCluster.start({ nodes: 1 })
  await using proxy = await new KafkaProxy(cluster.brokers[0] ?? '').start()
  const direct = kafkajsLog({ brokers: cluster.brokers, clientId: 'prove' })
  await direct.admin.createTopics([{ name: 'proved', partitions: PARTITIONS, replicationFactor: 1 }])
  const through = kafkajsLog({ brokers: [proxy.broker], clientId: 'prove' })
  const load = new LogLoad(through, through, { topic: 'proved', partitions: PARTITIONS, group: 'proved' })
  try {
    await load.start()
    const fired = await disturbNetwork(proxy, load, random, { rounds: 20, withHalfOpen: true })
    return { faults: fired, load: await load.finish() }
  } finally {
    await stop(through)
    await stop(direct)
  }
}

export interface NetworkFaults {
  readonly rounds: number
  /** It is noticed only when a request has timed out, after half a minute. */
  readonly withHalfOpen: boolean
}

/** @returns what fired, for the report. @throws Error a planned fault did not fire */
export async function disturbNetwork(
  proxy: KafkaProxy,
  load: LogLoad,
  random: Random,
  { rounds, withHalfOpen }: NetworkFaults,
): Promise<string> {
  for (let round = 0; round < rounds; round++) {
    for (const request of ['Produce', 'Fetch', 'OffsetCommit', 'Heartbeat'] as const) {
      const before = proxy.lost(request)
      proxy.loseReplies(request, 1)
      await until(`a lost reply to ${request}`, () => proxy.lost(request) > before, NOTICED_WITHIN_MS)
      await load.progress(NOTICED_WITHIN_MS)
    }
    const cutShort = proxy.cutShort
    proxy.cutAfter(random.between(1, 5_000))
    await until('a connection that is cut in the middle of a reply', () => proxy.cutShort > cutShort, NOTICED_WITHIN_MS)
    await load.progress(NOTICED_WITHIN_MS)
  }
  proxy.delay(300)
  await load.progress(NOTICED_WITHIN_MS)
  proxy.delay(0)
  proxy.blackHole()
  await pause(1_000)
  proxy.pass()
  await load.progress(NOTICED_WITHIN_MS)
  proxy.damageFetches(2)
  await until('two damaged fetches', () => proxy.damagedFetches >= 2, NOTICED_WITHIN_MS)
  await load.progress(NOTICED_WITHIN_MS)
  if (withHalfOpen) {
    proxy.halfOpen()
    await load.progress(NOTICED_WITHIN_MS)
  }
  const lost = ['Produce', 'Fetch', 'OffsetCommit', 'Heartbeat'].map((request) => `${rounds} replies to ${request}`)
  return `lost ${lost.join(', ')}; ${rounds} connections cut in a reply, 2 damaged fetches, a delay, a black hole${withHalfOpen ? ', half-open connections' : ''}`
}

async function stop(log: LogDriver): Promise<void> {
  await log.producer.stop(2_000)
  await log.admin.close()
}
