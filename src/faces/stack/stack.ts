import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '../../adapters/postgres/server-databases.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { type ComposeService, type ComposeStack, dockerAnswers, startCompose } from './docker.ts'
import { postgresAccount, startEmbeddedPostgres } from './embedded-postgres.ts'
import { kafkaInstallation } from './kafka-installation.ts'
import { startLocalKafka } from './local-kafka.ts'
import { isMissing, type Missing, missing } from './missing.ts'
import { freePorts } from './ports.ts'
import { Watchdog } from './watchdog.ts'

export interface StackOptions {
  /** Servers that run already, each taken as it is; what is not given is started. */
  readonly given?: { readonly brokers?: readonly string[] | undefined; readonly databaseUrl?: string | undefined } | undefined
  /** Keeps the servers' data there for the next start. Without it they are throw-away servers that leave nothing. */
  readonly directory?: string | undefined
  /** Wanted ports, or the next free ones above; any free ports when not given. */
  readonly ports?: { readonly kafka: number; readonly postgres: number } | undefined
  /** Kafka nodes: 1, or 3 for tests of faults. Default 1. */
  readonly nodes?: number | undefined
  /** 'start': ready fast, in little memory (default). 'load': for benchmarks. */
  readonly tuning?: 'start' | 'load' | undefined
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
  readonly name: 'Kafka' | 'PostgreSQL'
  readonly origin: 'given' | 'docker' | 'local' | 'memory'
  /** What it is, where, and why this one was chosen. */
  readonly line: string
  /** Of servers on this machine that are ours. */
  readonly pids: readonly number[]
  /** Resolves when it ended by itself; never for servers that are not ours to watch. */
  readonly ended: Promise<string>
  stop(): Promise<void>
}

interface KafkaServer extends StackServer {
  readonly brokers: readonly string[]
}

interface PostgresServer extends StackServer {
  /** A database on the server; for a given server the one that was named. */
  readonly url: string
}

const never = new Promise<string>(() => undefined)

/**
 * Starts, or takes, the Kafka and the PostgreSQL that development, the demo and the tests run on.
 *
 * Each is chosen for itself, in this order: the given address, Docker when its daemon answers, a server on this
 * machine, and for Kafka at last the log in memory. Whatever happens to this process, no server of ours outlives it.
 *
 * @throws ConfigurationError `NO_POSTGRES`, `STACK_NOT_REAL`: the message says what to install or to set
 * @throws TransientError a server did not start; nothing runs any more
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const watchdog = new Watchdog()
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'trunkline-')))
  if (options.directory === undefined) {
    watchdog.charge({ kind: 'path', path: directory })
    // As root, PostgreSQL runs as another user, who must be able to walk in.
    await chmod(directory, 0o755)
  } else await mkdir(directory, { recursive: true })

  const started: Promise<StackServer>[] = []
  try {
    const compose = await composeFor(watchdog, options)
    const choices = [chooseKafka(watchdog, options, directory, compose), choosePostgres(watchdog, options, directory, compose)] as const
    started.push(...choices)
    const [kafka, postgres] = await Promise.all(choices)
    const stack = new Stack({ watchdog, kafka, postgres }, options.directory === undefined ? directory : undefined)
    await stack.prepare()
    for (const server of stack.servers) options.say(server.line)
    return stack
  } catch (error) {
    for (const server of await Promise.allSettled(started)) {
      if (server.status === 'fulfilled') await server.value.stop()
    }
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true, maxRetries: 20 })
    await watchdog.close()
    throw error
  }
}

/** The servers that one run uses, and the environment that tells programs about them. */
export class Stack {
  readonly #watchdog: Watchdog
  readonly #kafka: KafkaServer
  readonly #postgres: PostgresServer
  readonly #throwAway: string | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: { readonly watchdog: Watchdog; readonly kafka: KafkaServer; readonly postgres: PostgresServer }, throwAway?: string) {
    this.#watchdog = parts.watchdog
    this.#kafka = parts.kafka
    this.#postgres = parts.postgres
    this.#throwAway = throwAway
  }

  get servers(): readonly StackServer[] {
    return [this.#kafka, this.#postgres]
  }

  /** Addresses of the brokers; none on the memory log. */
  get brokers(): readonly string[] {
    return this.#kafka.brokers
  }

  get driver(): 'kafkajs' | 'memory' {
    return this.#kafka.origin === 'memory' ? 'memory' : 'kafkajs'
  }

  /** The database that a single program uses: the given one, or `trunkline` on a server of ours. */
  get databaseUrl(): string {
    return this.#postgres.url
  }

  /** The address of another database on the same server; it need not exist yet. */
  databaseUrlOf(name: string): string {
    const url = new URL(this.#postgres.url)
    url.pathname = `/${name}`
    return url.href
  }

  /** What `environment()` reads in the programs that run on this stack. */
  environment(): Record<string, string> {
    const kafka = this.driver === 'memory' ? {} : { KAFKA_BROKERS: this.brokers.join(',') }
    return { KAFKA_DRIVER: this.driver, ...kafka, DATABASE_URL: this.databaseUrl }
  }

  /** Resolves with one line when a server of ours ended although nobody stopped it. */
  get ended(): Promise<string> {
    return Promise.race(
      this.servers.map(async (server) => {
        const how = await server.ended
        return this.#stopping === undefined ? `${server.name} ended by itself (${how}).` : await never
      }),
    )
  }

  /** Makes the `trunkline` database on a server of ours; Docker's image makes it itself. */
  async prepare(): Promise<void> {
    if (this.#postgres.origin === 'local') await createDatabase(this.databaseUrlOf('postgres'), postgresAccount)
  }

  /** Stops what this stack started, in any state, and leaves no process, port or temporary file. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()))
    if (this.#throwAway !== undefined) await rm(this.#throwAway, { recursive: true, force: true, maxRetries: 20 })
    await this.#watchdog.close()
  }
}

/** The services that Docker runs for us, or why it runs none. */
async function composeFor(
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

async function chooseKafka(watchdog: Watchdog, options: StackOptions, directory: string, compose: Compose): Promise<KafkaServer> {
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

async function choosePostgres(watchdog: Watchdog, options: StackOptions, directory: string, compose: Compose): Promise<PostgresServer> {
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
