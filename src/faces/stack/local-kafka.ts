import { randomBytes } from 'node:crypto'
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TransientError } from '../../foundation/errors.ts'
import { type KafkaInstallation, kafkaVersion } from './kafka-installation.ts'
import { viewOf } from './kafka-metadata.ts'
import { freePorts, portFrom } from './ports.ts'
import { ServerProcess } from './server-process.ts'
import type { Watchdog } from './watchdog.ts'

const readyMsMax = 60_000
const startsMax = 3

export interface LocalKafkaOptions {
  /** Holds the nodes' logs and, in `data`, their data; must exist. */
  readonly directory: string
  /** Keep the data for the next start. Without it the nodes are simply killed at the end. */
  readonly keep: boolean
  /** 1, or 3 for tests of faults. */
  readonly nodes: number
  /** The first node's port, or the next free one; any free port when not given. */
  readonly port?: number | undefined
  /** Start fast in little memory, or run fast: what a benchmark wants. */
  readonly tuning: 'start' | 'load'
  /** Lines of `server.properties` for each node, which win over ours: TLS, accounts, other time limits. */
  readonly settings?: ((node: KafkaNode) => readonly string[]) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface KafkaNode {
  readonly id: number
  readonly port: number
  readonly controllerPort: number
}

/** One Kafka cluster in JVMs of this machine, on loopback only. */
export interface LocalKafka {
  readonly brokers: readonly string[]
  readonly processes: readonly ServerProcess[]
  /** `Kafka 4.3.1 on Java 17`. */
  readonly title: string
  /** Starts a node again that has ended, with its data and at its address. It need not be ready when this resolves. */
  restartNode(id: number): Promise<void>
  stop(): Promise<void>
}

interface Parts {
  readonly watchdog: Watchdog
  readonly installation: KafkaInstallation
}

interface NodePlan extends KafkaNode {
  readonly directory: string
  readonly logPath: string
}

/**
 * Starts a cluster of combined nodes and waits until each of them knows all the others.
 *
 * @throws TransientError a node ended or did not answer in time; nothing of it runs any more
 */
export async function startLocalKafka(parts: Parts, options: LocalKafkaOptions): Promise<LocalKafka> {
  for (let start = 1; ; start++) {
    const plans = await planNodes(options)
    const archive = await archiveToWrite(parts, options)
    const processes = plans.map((plan) => nodeProcess(parts, plan, plans, options, plan.id === 1 ? archive?.draft : undefined))
    try {
      const clusterId = await clusterIdOf(options.directory, plans.length)
      await Promise.all(
        plans.map((plan) =>
          formatNode(parts.installation, clusterId, plan, [...settings(plan, plans), ...(options.settings?.(plan) ?? [])]),
        ),
      )
      await Promise.all(processes.map((process) => process.start()))
      await ready({ clusterId, plans, processes }, options.signal)
      return {
        brokers: plans.map((plan) => `127.0.0.1:${plan.port}`),
        processes,
        title: `Kafka ${kafkaVersion} on Java ${parts.installation.java.version}`,
        restartNode: async (id) => {
          const plan = plans.find((each) => each.id === id)
          if (plan === undefined) throw new RangeError(`There is no node ${id}.`)
          await processes[id - 1]?.stop('SIGKILL')
          const process = nodeProcess(parts, plan, plans, options, undefined)
          processes[id - 1] = process
          await process.start()
        },
        stop: () => stopCluster(processes, options.keep, archive),
      }
    } catch (error) {
      await Promise.all(processes.map((process) => process.stop('SIGKILL')))
      await archive?.discard()
      // Between our look and the JVM's bind another process may have taken a port; a killed one's nodes may still be ending.
      const logs = await Promise.all(processes.map((process) => process.logTail(60)))
      const passing = logs.some((log) => /already in use|failed to bind|failed to acquire lock/i.test(log))
      if (!passing || start === startsMax || options.signal?.aborted === true) throw error
      await sleep(start * 500)
    }
  }
}

async function planNodes({ nodes, port, directory }: LocalKafkaOptions): Promise<NodePlan[]> {
  const free = await freePorts(nodes * 2)
  const plans: NodePlan[] = []
  for (let id = 1; id <= nodes; id++) {
    const previous = plans.at(-1)?.port
    const taken = plans.map((plan) => plan.port)
    plans.push({
      id,
      port: port === undefined ? (free[id - 1] ?? 0) : await portFrom(previous === undefined ? port : previous + 1, taken),
      controllerPort: free[nodes + id - 1] ?? 0,
      directory: join(directory, 'data', `kafka-${id}-of-${nodes}`),
      logPath: join(directory, `kafka-${id}.log`),
    })
  }
  return plans
}

/** Does what `kafka-storage format` does, from the records it once wrote: a copy takes a millisecond, a JVM almost a second. */
async function formatNode(installation: KafkaInstallation, clusterId: string, plan: NodePlan, lines: readonly string[]): Promise<void> {
  const meta = join(plan.directory, 'data', 'meta.properties')
  const formatted = await readFile(meta, 'utf8').catch(() => undefined)
  if (formatted === undefined) {
    await mkdir(join(plan.directory, 'data'), { recursive: true })
    await cp(installation.bootstrapPath, join(plan.directory, 'data', 'bootstrap.checkpoint'))
    const identity = ['version=1', `cluster.id=${clusterId}`, `node.id=${plan.id}`, `directory.id=${uuid()}`]
    await writeFile(meta, `${identity.join('\n')}\n`)
  }
  await writeFile(join(plan.directory, 'server.properties'), `${lines.join('\n')}\n`)
}

/** One id for all nodes of the directory: whoever creates the file decides it. */
async function clusterIdOf(directory: string, nodes: number): Promise<string> {
  await mkdir(join(directory, 'data'), { recursive: true })
  const path = join(directory, 'data', `kafka-cluster-of-${nodes}`)
  await writeFile(path, uuid(), { flag: 'wx' }).catch(() => undefined)
  return await readFile(path, 'utf8')
}

/** A Kafka UUID. It must not begin with a dash, which the command line tools would take for an option. */
function uuid(): string {
  return `A${randomBytes(16).toString('base64url').slice(1)}`
}

// Measured: the defaults (50 + 50 internal partitions, 3 s before a group's first rebalance) make every start and every join wait.
function settings(plan: NodePlan, plans: readonly NodePlan[]): string[] {
  const replicas = Math.min(3, plans.length)
  const inSync = Math.max(1, replicas - 1)
  const addresses = `PLAINTEXT://127.0.0.1:${plan.port},CONTROLLER://127.0.0.1:${plan.controllerPort}`
  return [
    'process.roles=broker,controller',
    `node.id=${plan.id}`,
    `controller.quorum.voters=${plans.map((node) => `${node.id}@127.0.0.1:${node.controllerPort}`).join(',')}`,
    `listeners=${addresses}`,
    `advertised.listeners=${addresses}`,
    'controller.listener.names=CONTROLLER',
    'inter.broker.listener.name=PLAINTEXT',
    'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    `log.dirs=${join(plan.directory, 'data')}`,
    'num.network.threads=2',
    'num.io.threads=2',
    'num.partitions=1',
    'auto.create.topics.enable=false',
    `default.replication.factor=${replicas}`,
    `min.insync.replicas=${inSync}`,
    `offsets.topic.replication.factor=${replicas}`,
    'offsets.topic.num.partitions=1',
    `transaction.state.log.replication.factor=${replicas}`,
    `transaction.state.log.min.isr=${inSync}`,
    'transaction.state.log.num.partitions=1',
    `share.coordinator.state.topic.replication.factor=${replicas}`,
    `share.coordinator.state.topic.min.isr=${inSync}`,
    'unclean.leader.election.enable=false',
    'group.initial.rebalance.delay.ms=0',
    // Fetching 128 MB for a cleaner that has a few keys to compare would be half of the heap.
    'log.cleaner.dedupe.buffer.size=16777216',
    'log.cleaner.backoff.ms=500',
    ...(plans.length === 1 ? [] : ['broker.session.timeout.ms=3000', 'broker.heartbeat.interval.ms=500', 'replica.lag.time.max.ms=3000']),
  ]
}

function nodeProcess(
  { watchdog, installation }: Parts,
  plan: NodePlan,
  plans: readonly NodePlan[],
  options: LocalKafkaOptions,
  archiveDraft: string | undefined,
): ServerProcess {
  const tuning = options.tuning === 'start' ? ['-Xms128m', '-Xmx256m', '-XX:TieredStopAtLevel=1'] : ['-Xms512m', '-Xmx512m']
  const archive = installation.hasArchive ? [`-XX:SharedArchiveFile=${installation.archivePath}`] : []
  return new ServerProcess(
    { watchdog },
    {
      name: plans.length === 1 ? 'Kafka' : `Kafka node ${plan.id}`,
      command: installation.java.executable,
      args: [
        ...tuning,
        '-XX:+UseSerialGC',
        '-Xshare:auto',
        '-Xlog:disable',
        '-Xlog:all=error:stderr',
        ...(archiveDraft === undefined ? archive : [`-XX:ArchiveClassesAtExit=${archiveDraft}`]),
        '-Djava.awt.headless=true',
        `-Dlog4j2.configurationFile=${installation.loggingPath}`,
        '-cp',
        installation.classpath,
        'kafka.Kafka',
        join(plan.directory, 'server.properties'),
      ],
      cwd: plan.directory,
      logPath: plan.logPath,
      stopSignal: 'SIGTERM',
      orphanSignal: options.keep ? 'SIGTERM' : 'SIGKILL',
    },
  )
}

interface Cluster {
  readonly clusterId: string
  readonly plans: readonly NodePlan[]
  readonly processes: readonly ServerProcess[]
}

/** Resolves when every node answers with the ids of all nodes of this very cluster. */
async function ready({ clusterId, plans, processes }: Cluster, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + readyMsMax
  const waiting = [...plans]
  while (waiting.length > 0) {
    signal?.throwIfAborted()
    const ended = processes.find((process) => !process.running)
    if (ended !== undefined) throw await notReady(ended, `ended with ${await ended.exited} before it was ready`)
    const [next] = waiting
    const view = next === undefined ? undefined : await viewOf('127.0.0.1', next.port, 1_000)
    if (view?.clusterId === clusterId && view.nodes.length === plans.length) waiting.shift()
    else if (Date.now() > deadline) {
      const slow = processes[(next?.id ?? 1) - 1] ?? processes[0]
      if (slow !== undefined) throw await notReady(slow, `did not answer within ${readyMsMax / 1_000} s`)
    } else await sleep(20)
  }
}

async function notReady(process: ServerProcess, what: string): Promise<TransientError> {
  return new TransientError('KAFKA_NOT_STARTED', `${process.name} ${what}. Its last lines:\n${await process.logTail()}`, {
    pid: process.pid,
  })
}

interface ArchiveDraft {
  readonly draft: string
  adopt(): Promise<void>
  discard(): Promise<void>
}

/** The JVM writes the archive when it ends; a draft beside it becomes the archive by a rename, so nobody reads half of one. */
async function archiveToWrite({ installation, watchdog }: Parts, options: LocalKafkaOptions): Promise<ArchiveDraft | undefined> {
  // The archive depends on the collector and the compilers, so only the ordinary tuning writes it.
  if (installation.hasArchive || options.tuning !== 'start') return undefined
  const draft = `${installation.archivePath}.${process.pid}-${randomBytes(4).toString('hex')}`
  const release = watchdog.charge({ kind: 'path', path: draft })
  const discard = async (): Promise<void> => {
    await rm(draft, { force: true })
    release()
  }
  return {
    draft,
    discard,
    // Never fatal: without an archive the next start is a second slower, and tries again.
    adopt: () => rename(draft, installation.archivePath).then(release, discard),
  }
}

async function stopCluster(processes: readonly ServerProcess[], keep: boolean, archive: ArchiveDraft | undefined): Promise<void> {
  // Data that nobody reads again needs no orderly end; only an orderly end writes the archive.
  const signalOf = (index: number): NodeJS.Signals => (keep || (index === 0 && archive !== undefined) ? 'SIGTERM' : 'SIGKILL')
  await Promise.all(processes.map((process, index) => process.stop(signalOf(index))))
  await archive?.adopt()
}
