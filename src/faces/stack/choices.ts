import { ConfigurationError } from '../../foundation/errors.ts'
import { type ComposeService, type ComposeStack, dockerAnswers, startCompose } from './docker.ts'
import { postgresAccount, startEmbeddedPostgres } from './embedded-postgres.ts'
import { kafkaInstallation } from './kafka-installation.ts'
import { startLocalKafka } from './local-kafka.ts'
import { startLocalRegistry } from './local-registry.ts'
import { isMissing, type Missing, missing } from './missing.ts'
import { freePorts } from './ports.ts'
import { registryInstallation } from './registry-installation.ts'
import type { Watchdog } from './watchdog.ts'

export interface StackOptions {
  /** Servers that run already, each taken as it is; what is not given is started. */
  readonly given?:
    | {
        readonly brokers?: readonly string[] | undefined
        readonly databaseUrl?: string | undefined
        readonly registryUrl?: string | undefined
      }
    | undefined
  /** Keeps the servers' data there for the next start. Without it they are throw-away servers that leave nothing. */
  readonly directory?: string | undefined
  /** Wanted ports, or the next free ones above; any free ports when not given. */
  readonly ports?: { readonly kafka: number; readonly postgres: number; readonly registry?: number } | undefined
  /** Kafka nodes: 1, or 3 for tests of faults. Default 1. */
  readonly nodes?: number | undefined
  /** 'start': ready fast, in little memory (default). 'load': for benchmarks. */
  readonly tuning?: 'start' | 'load' | undefined
  /** Start a schema registry too, always on this machine; a given one is used without being asked for. Default false. */
  readonly registry?: boolean | undefined
  /** Falling back to the memory log is an error. */
  readonly real?: boolean | undefined
  /** Do not start Kafka: messages go through memory. */
  readonly memory?: boolean | undefined
  /** Not to use Docker, and why not. */
  readonly withoutDocker?: string | undefined
  readonly env: NodeJS.ProcessEnv
  /** Hears, in one line each, what was chosen and why, and what is lost by it. */
  readonly say: (line: string) => void
  /** Aborting it while servers start stops them again and rejects. */
  readonly signal?: AbortSignal | undefined
}

/** One server, or cluster, that the stack uses. */
export interface StackServer {
  readonly name: 'Kafka' | 'PostgreSQL' | 'The schema registry'
  readonly origin: 'given' | 'docker' | 'local' | 'memory'
  /** What it is, where, and why this one was chosen. */
  readonly line: string
  /** Of servers on this machine that are ours. */
  readonly pids: readonly number[]
  /** Resolves when it ended by itself; never for servers that are not ours to watch. */
  readonly ended: Promise<string>
  stop(): Promise<void>
}

export interface KafkaServer extends StackServer {
  readonly brokers: readonly string[]
}

export interface PostgresServer extends StackServer {
  /** A database on the server; for a given server the one that was named. */
  readonly url: string
}

export interface RegistryServer extends StackServer {
  /** The root of its Confluent API. */
  readonly url: string
}

/** Of a server that is not ours to watch. */
export const never = new Promise<string>(() => undefined)

/** The services that Docker runs for us, or why it runs none. */
export async function composeFor(
  watchdog: Watchdog,
  options: StackOptions,
): Promise<{ readonly stack: ComposeStack; readonly services: readonly ComposeService[] } | Missing> {
  const services: ComposeService[] = []
  // The compose file has one node; more of them run on this machine.
  if (options.given?.brokers === undefined && options.memory !== true && (options.nodes ?? 1) === 1) services.push('kafka')
  if (options.given?.databaseUrl === undefined) services.push('postgres')
  if (services.length === 0) return missing('Docker is not needed', '')
  if (options.withoutDocker !== undefined) return missing(options.withoutDocker, '')
  const parts = { watchdog, env: options.env }
  const answer = await dockerAnswers(parts, options.signal)
  if (answer !== true) return answer
  const [kafka = 0, postgres = 0] = await freePorts(2)
  const stack = await startCompose(parts, {
    services,
    keepFor: options.directory,
    ports: options.ports ?? { kafka, postgres },
    signal: options.signal,
  })
  return isMissing(stack) ? stack : { stack, services }
}

type Compose = Awaited<ReturnType<typeof composeFor>>

export async function chooseKafka(watchdog: Watchdog, options: StackOptions, directory: string, compose: Compose): Promise<KafkaServer> {
  const given = options.given?.brokers
  if (given !== undefined) {
    return { ...notOurs('Kafka', 'given'), brokers: given, line: `Kafka at ${given.join(', ')} (given).` }
  }
  if (options.memory === true) return memoryLog('asked for')
  if (!isMissing(compose) && compose.services.includes('kafka')) {
    const { kafka } = compose.stack
    return { ...notOurs('Kafka', 'docker'), brokers: [kafka], line: `Kafka at ${kafka} (Docker).`, stop: () => compose.stack.stop() }
  }
  const installation = await kafkaInstallation({ watchdog, env: options.env, say: options.say }, options.signal)
  if (isMissing(installation)) {
    if (options.real === true) throw notReal(installation)
    return memoryLog(`${installation.what}; to get Kafka, ${installation.remedy}`)
  }
  const kafka = await startLocalKafka(
    { watchdog, installation },
    {
      directory,
      keep: options.directory !== undefined,
      nodes: options.nodes ?? 1,
      port: options.ports?.kafka,
      tuning: options.tuning ?? 'start',
      signal: options.signal,
    },
  )
  return {
    name: 'Kafka',
    origin: 'local',
    brokers: kafka.brokers,
    line: `${kafka.title} at ${kafka.brokers.join(', ')} (this machine: ${whyNotDocker(compose, options)}).`,
    pids: kafka.processes.map((process) => process.pid).filter((pid) => pid !== undefined),
    ended: Promise.race(kafka.processes.map((process) => process.exited)),
    stop: () => kafka.stop(),
  }
}

function memoryLog(why: string): KafkaServer {
  const lost = 'messages stay in memory, inside one process, and are lost when it ends'
  return { ...notOurs('Kafka', 'memory'), brokers: [], line: `No Kafka (${why}): ${lost}.` }
}

export async function choosePostgres(
  watchdog: Watchdog,
  options: StackOptions,
  directory: string,
  compose: Compose,
): Promise<PostgresServer> {
  const given = options.given?.databaseUrl
  if (given !== undefined) {
    const { host } = new URL(given)
    return { ...notOurs('PostgreSQL', 'given'), url: given, line: `PostgreSQL at ${host} (given).` }
  }
  if (!isMissing(compose)) {
    const url = `postgresql://${postgresAccount}:${postgresAccount}@${compose.stack.postgres}/${postgresAccount}`
    return {
      ...notOurs('PostgreSQL', 'docker'),
      url,
      line: `PostgreSQL at ${compose.stack.postgres} (Docker).`,
      stop: () => compose.stack.stop(),
    }
  }
  const postgres = await startEmbeddedPostgres(
    { watchdog },
    {
      directory,
      keep: options.directory !== undefined,
      port: options.ports?.postgres,
      tuning: options.tuning ?? 'start',
      signal: options.signal,
    },
  )
  if (isMissing(postgres)) {
    throw new ConfigurationError('NO_POSTGRES', `There is no PostgreSQL to run on: ${postgres.what}; ${postgres.remedy}.`)
  }
  const server = new URL(postgres.serverUrl)
  server.pathname = `/${postgresAccount}`
  return {
    name: 'PostgreSQL',
    origin: 'local',
    url: server.href,
    line: `${postgres.title} at ${server.host} (this machine: ${whyNotDocker(compose, options)}).`,
    pids: postgres.process.pid === undefined ? [] : [postgres.process.pid],
    ended: postgres.process.exited,
    stop: () => postgres.stop(),
  }
}

export async function chooseRegistry(watchdog: Watchdog, options: StackOptions, directory: string): Promise<RegistryServer | undefined> {
  const given = options.given?.registryUrl
  if (given !== undefined) {
    const { host } = new URL(given)
    return { ...notOurs('The schema registry', 'given'), url: given, line: `A schema registry at ${host} (given).` }
  }
  if (options.registry !== true) return undefined
  const installation = await registryInstallation({ watchdog, env: options.env, say: options.say }, options.signal)
  if (isMissing(installation)) {
    const { what, remedy } = installation
    throw new ConfigurationError('NO_REGISTRY', `There is no schema registry to run on: ${what}; ${remedy}, or set REGISTRY_URL.`)
  }
  const registry = await startLocalRegistry(
    { watchdog, installation },
    { directory, port: options.ports?.registry, signal: options.signal },
  )
  return {
    name: 'The schema registry',
    origin: 'local',
    url: registry.url,
    line: `${registry.title} at ${registry.url} (this machine).`,
    pids: registry.process.pid === undefined ? [] : [registry.process.pid],
    ended: registry.process.exited,
    stop: () => registry.process.stop(),
  }
}

function notOurs<Name extends StackServer['name']>(name: Name, origin: StackServer['origin']) {
  return { name, origin, pids: [], ended: never, stop: async () => undefined }
}

function whyNotDocker(compose: Compose, { nodes = 1 }: StackOptions): string {
  if (isMissing(compose) && compose.what !== 'Docker is not needed') return compose.what
  return `${nodes} nodes`
}

function notReal({ what, remedy }: Missing): ConfigurationError {
  return new ConfigurationError(
    'STACK_NOT_REAL',
    `TRUNKLINE_STACK=real, but there is no Kafka to run on: ${what}; ${remedy}, or set KAFKA_BROKERS.`,
  )
}
