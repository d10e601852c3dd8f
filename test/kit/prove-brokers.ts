import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { kafkajsLog } from '../../src/adapters/kafkajs/kafkajs-log.ts'
import { platformaticLog } from '../../src/adapters/platformatic/platformatic-log.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { KafkaProxy } from './kafka-proxy.ts'
import { type LoadReport, LogLoad } from './log-load.ts'
import { Random } from './random.ts'
import { until } from './wait.ts'

const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')

const NODES = 3
/** Of lost replies and cut connections. */
const NETWORK_ROUNDS = 10
const requests = ['Produce', 'Fetch', 'OffsetCommit', 'Heartbeat'] as const
const PARTITIONS = 6
/** In all seeds of one run and with both drivers together, whatever the number of seeds. */
const LEADER_LOSSES = 50
/** Longer than the session of a broker in a test: another one leads then. */
const FROZEN_MS = 5_000
const WITHOUT_MAJORITY_MS = 6_000
/** What a client waits for an answer; a connection that is half open is noticed then. */
const NOTICED_WITHIN_MS = 60_000

type Fault = 'killed' | 'frozen' | 'stopped'
export type OpenDriver = (options: { readonly brokers: readonly string[]; readonly clientId: string }) => LogDriver

/** What reaches a real broker, by name. */
export const realDrivers: readonly (readonly [name: string, open: OpenDriver])[] = [
  ['kafkajs', kafkajsLog],
  ['platformatic', platformaticLog],
]

/** Runs the proof over several seeds, with each driver, and prints what came of it. @returns whether nothing was lost or reordered, and every fault fired */
export async function proveBrokers(seeds: number, from: number): Promise<boolean> {
  const lossesMin = Math.ceil(LEADER_LOSSES / seeds / realDrivers.length)
  let [holds, lost, faults] = [true, 0, 0]
  for (let seed = from; seed < from + seeds; seed++) {
    for (const [driver, open] of realDrivers) {
      const name = `brokers seed ${seed}, ${driver}`
      const brokers = await threeBrokers(open, new Random(seed), lossesMin)
      const network = await badNetwork(open, new Random(seed))
      holds = report(`${name}: three brokers`, brokers) && holds
      holds = report(`${name}: one broker, behind a network that loses`, network) && holds
      lost += brokers.lost
      faults += brokers.fired + network.fired
    }
  }
  console.log(`brokers: ${lost} leaders lost, ${faults} faults fired in all`)
  return holds && lost >= LEADER_LOSSES
}

interface Proved {
  readonly told: string
  /** How many faults fired. One that does not fire ends the proof. */
  readonly fired: number
  /** Leaders that were lost. */
  readonly lost: number
  readonly load: LoadReport
}

function report(name: string, { told, fired, load }: Proved): boolean {
  const { acked, repeated, unknown, refused, rebalances, violations } = load
  const verdict = violations.length === 0 ? 'holds' : 'DOES NOT HOLD'
  const counts = `${acked} acknowledged, ${repeated} repeated, ${unknown} unknown, ${refused} refused before the append, ${rebalances} rebalances`
  console.log(`${name}: ${verdict} · ${fired} faults: ${told} · ${counts}`)
  for (const line of violations.slice(0, 20)) console.log(`  ${line}`)
  return violations.length === 0
}

/** Leaders are killed, frozen and stopped in turn; then every node is restarted in turn; then two of three are gone. */
async function threeBrokers(open: OpenDriver, random: Random, lossesMin: number): Promise<Proved> {
  await using cluster = await KafkaCluster.start({ nodes: NODES })
  const log = open({ brokers: cluster.brokers, clientId: 'prove' })
  const judge = new Client({ brokers: [...cluster.brokers], clientId: 'judge', logLevel: 0 }).admin()
  await judge.connect()
  await log.admin.createTopics([{ name: 'proved', partitions: PARTITIONS, replicationFactor: NODES }])
  const load = new LogLoad(log, log, { topic: 'proved', partitions: PARTITIONS, group: 'proved' })
  try {
    await load.start()
    const counts: Record<Fault, number> = { killed: 0, frozen: 0, stopped: 0 }
    const faults: readonly Fault[] = ['killed', 'frozen', 'stopped']
    let [lost, slowestMs, rounds] = [0, 0, 0]
    for (; lost < lossesMin; rounds++) {
      await load.progress()
      if (rounds % faults.length === 0) await load.visit()
      const leaders = await untilHealthy(judge, cluster)
      const victim = leaders[random.between(0, leaders.length - 1)] ?? 1
      const fault = faults[rounds % faults.length] ?? 'killed'
      counts[fault] += leaders.filter((leader) => leader === victim).length
      lost += leaders.filter((leader) => leader === victim).length
      await end(cluster, victim, fault)
      slowestMs = Math.max(slowestMs, await load.progress(NOTICED_WITHIN_MS))
      if (fault === 'frozen') cluster.thaw(victim)
      else await cluster.restart(victim)
    }
    await rollingRestart(cluster, judge, load)
    await withoutMajority(cluster, judge, load)
    const visits = Math.ceil(rounds / faults.length)
    const losses = Object.entries(counts).map(([fault, count]) => `${count} ${fault}`)
    const told = `${lost} leaders lost (${losses.join(', ')}), writing again after ${(slowestMs / 1_000).toFixed(1)} s at most, ${NODES} brokers restarted in turn, two of three lost at once, ${visits} times another member that came and went`
    return { told, fired: rounds + NODES + 1 + visits, lost, load: await load.finish() }
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
async function badNetwork(open: OpenDriver, random: Random): Promise<Proved> {
  await using cluster = await KafkaCluster.start({ nodes: 1 })
  await using proxy = await new KafkaProxy(cluster.brokers[0] ?? '').start()
  const direct = open({ brokers: cluster.brokers, clientId: 'prove' })
  await direct.admin.createTopics([{ name: 'proved', partitions: PARTITIONS, replicationFactor: 1 }])
  const through = open({ brokers: [proxy.broker], clientId: 'prove' })
  const load = new LogLoad(through, through, { topic: 'proved', partitions: PARTITIONS, group: 'proved' })
  try {
    await load.start()
    const { told, fired } = await disturbNetwork(proxy, load, random, { rounds: NETWORK_ROUNDS, withHalfOpen: true })
    return { told, fired, lost: 0, load: await load.finish() }
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
): Promise<Pick<Proved, 'told' | 'fired'>> {
  for (let round = 0; round < rounds; round++) {
    for (const request of requests) {
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
  const lost = requests.map((request) => `${rounds} replies to ${request}`)
  const told = `lost ${lost.join(', ')}; ${rounds} connections cut in a reply, 2 damaged fetches, a delay, a black hole${withHalfOpen ? ', half-open connections' : ''}`
  return { told, fired: rounds * (requests.length + 1) + 4 + (withHalfOpen ? 1 : 0) }
}

async function stop(log: LogDriver): Promise<void> {
  await log.producer.stop(2_000)
  await log.admin.close()
}
