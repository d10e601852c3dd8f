import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase } from '../../adapters/postgres/server-databases.ts'
import {
  chooseKafka,
  choosePostgres,
  chooseRegistry,
  composeFor,
  type KafkaServer,
  never,
  type PostgresServer,
  type RegistryServer,
  type StackOptions,
  type StackServer,
} from './choices.ts'
import { postgresAccount } from './embedded-postgres.ts'
import { Watchdog } from './watchdog.ts'

export type { StackOptions, StackServer } from './choices.ts'

/**
 * Starts, or takes, the Kafka, the PostgreSQL and, if asked for, the schema registry that development, the demo and the tests run on.
 *
 * Each is chosen for itself, in this order: the given address, Docker when its daemon answers, a server on this
 * machine, and for Kafka at last the log in memory. Whatever happens to this process, no server of ours outlives it.
 *
 * @throws ConfigurationError `NO_POSTGRES`, `NO_REGISTRY`, `STACK_NOT_REAL`: the message says what to install or to set
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

  const started: Promise<Pick<StackServer, 'stop'>>[] = []
  try {
    const compose = await composeFor(watchdog, options)
    const choices = [
      chooseKafka(watchdog, options, directory, compose),
      choosePostgres(watchdog, options, directory, compose),
      chooseRegistry(watchdog, options, directory),
    ] as const
    started.push(...choices.map(async (choice) => (await choice) ?? nothing))
    const [kafka, postgres, registry] = await Promise.all(choices)
    const stack = new Stack({ watchdog, kafka, postgres, registry }, options.directory === undefined ? directory : undefined)
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
  readonly #registry: RegistryServer | undefined
  readonly #throwAway: string | undefined
  #stopping: Promise<void> | undefined

  constructor(
    parts: {
      readonly watchdog: Watchdog
      readonly kafka: KafkaServer
      readonly postgres: PostgresServer
      readonly registry: RegistryServer | undefined
    },
    throwAway?: string,
  ) {
    this.#watchdog = parts.watchdog
    this.#kafka = parts.kafka
    this.#postgres = parts.postgres
    this.#registry = parts.registry
    this.#throwAway = throwAway
  }

  get servers(): readonly StackServer[] {
    return [this.#kafka, this.#postgres, ...(this.#registry === undefined ? [] : [this.#registry])]
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

  /** The root of the registry's Confluent API; `undefined` where there is none. */
  get registryUrl(): string | undefined {
    return this.#registry?.url
  }

  /** What `environment()` reads in the programs that run on this stack. */
  environment(): Record<string, string> {
    const kafka = this.driver === 'memory' ? {} : { KAFKA_BROKERS: this.brokers.join(',') }
    const registry = this.#registry === undefined ? {} : { REGISTRY_URL: this.#registry.url }
    return { KAFKA_DRIVER: this.driver, ...kafka, DATABASE_URL: this.databaseUrl, ...registry }
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

/** What stands for a server that was not asked for, where servers are only stopped. */
const nothing = { stop: async () => undefined }
