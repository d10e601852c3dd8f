import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import { z } from 'zod'
import { openOperatorDatabase } from '../../adapters/postgres/operator-database.ts'
import { backboneOptions } from '../../config.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import type { DiagnosticCatalogue } from '../../core/diagnostics.ts'
import { environment } from '../../environment.ts'
import { systemClock } from '../../foundation/clock.ts'
import { Diagnostics } from '../../foundation/diagnostics.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { buildLog } from '../../wiring/log.ts'
import { silentLogger } from '../../wiring/logger.ts'
import type { LogParts } from '../../wiring/parts.ts'
import { loadConfigFile } from './config-file.ts'

/** What a command knows of where it acts. Strongest first: flags, environment, `trunkline.config.ts`. */
export interface AddressFlags {
  readonly databaseUrl?: string
  readonly brokers?: string
}

/** Adds the flag of commands that act in a service's database. */
export function takesDatabase(command: Command): Command {
  return command.option('--database-url <url>', 'the service\'s database (default: DATABASE_URL, then "database" of trunkline.config.ts)')
}

/** Adds the flag of commands that ask Kafka. */
export function takesKafka(command: Command): Command {
  return command.option('--brokers <addresses>', 'host:port, … (default: KAFKA_BROKERS, then "kafka" of trunkline.config.ts)')
}

/** Adds the flag of commands whose data a program may read. */
export function takesJson(command: Command): Command {
  return command.option('--json', 'print one JSON document')
}

/**
 * Opens the service's database, checks that its tables fit this package, runs `work`, and closes it.
 *
 * Plain reads go through `database.outside`, acts through `database.transaction`.
 *
 * @param command as it is typed: `outbox status`; the server's own lists show it
 * @throws ConfigurationError `DATABASE_UNKNOWN`, `DATABASE_NOT_MIGRATED`, `DATABASE_NEWER`, `DATABASE_REFUSED`
 * @throws TransientError `DATABASE_UNAVAILABLE`
 */
export async function withDatabase<Result>(
  flags: AddressFlags,
  command: string,
  work: (database: Database<Transaction>) => Promise<Result>,
): Promise<Result> {
  const database = await openOperatorDatabase(await databaseUrl(flags), `trunkline ${command}`, systemClock)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

/**
 * Runs `work` with the log that the service is configured with, prefix included, and closes it. Nothing connects before it is asked.
 *
 * @throws ConfigurationError `KAFKA_UNKNOWN`, `OPTION_INVALID`, or the log lives in the memory of another process
 */
export async function withLog<Result>(flags: AddressFlags, work: (log: LogParts) => Promise<Result>): Promise<Result> {
  const diagnostics = new Diagnostics<DiagnosticCatalogue>()
  const options = { ...(await logOptions(flags)), service: 'trunkline-cli' }
  const log = buildLog(options, { clock: systemClock, diagnostics, logger: silentLogger })
  try {
    return await work(log)
  } finally {
    await log.producer.stop(0)
    await log.admin.close()
  }
}

/** @throws ConfigurationError `DATABASE_UNKNOWN`: what to set */
export async function databaseUrl(flags: AddressFlags): Promise<string> {
  const url = flags.databaseUrl ?? (process.env['DATABASE_URL'] || undefined) ?? (await urlInConfig())
  if (url !== undefined) return parseOptions(databaseAddress, { databaseUrl: url }, 'The database').databaseUrl
  throw new ConfigurationError(
    'DATABASE_UNKNOWN',
    'No database is named: set DATABASE_URL, for example DATABASE_URL=postgres://user:password@localhost:5432/orders, or pass --database-url. Under "trunkline dev run -- …" it is set.',
  )
}

const databaseAddress = z.object({
  databaseUrl: z.string().regex(/^postgres(ql)?:\/\//, 'expected postgres://user:password@host:port/database'),
})

async function urlInConfig(): Promise<string | undefined> {
  const { database } = await loadConfigFile(process.cwd())
  return database !== undefined && 'connectionString' in database ? database.connectionString : undefined
}

const logConfig = z.object({ kafka: backboneOptions.shape.kafka, topics: backboneOptions.shape.topics })

async function logOptions(flags: AddressFlags): Promise<z.output<typeof logConfig>> {
  const { topics } = await loadConfigFile(process.cwd())
  return parseOptions(logConfig, { kafka: await kafkaGiven(flags), topics }, 'trunkline.config.ts')
}

/**
 * What flags, environment and file say of Kafka together, not checked yet. The login of the file belongs to its
 * cluster, whatever its addresses are called from here.
 *
 * @throws ConfigurationError `KAFKA_UNKNOWN`, `LOG_IN_MEMORY`
 */
export async function kafkaGiven(flags: AddressFlags): Promise<object> {
  const { kafka } = await loadConfigFile(process.cwd())
  const brokers = flags.brokers ?? (process.env['KAFKA_BROKERS'] || undefined)
  const fromFile = kafka !== undefined && kafka.driver !== 'memory' ? kafka : undefined
  if (process.env['KAFKA_DRIVER'] === 'memory' || (brokers === undefined && kafka?.driver === 'memory')) throw logInMemory()
  if (brokers === undefined && fromFile === undefined) throw kafkaUnknown()
  const given = brokers === undefined ? undefined : environment({ ...process.env, KAFKA_BROKERS: brokers, DATABASE_URL: '-' }).kafka
  return { ...fromFile, ...given, prefix: process.env['KAFKA_PREFIX'] ?? fromFile?.prefix ?? '' }
}

function kafkaUnknown(): ConfigurationError {
  return new ConfigurationError(
    'KAFKA_UNKNOWN',
    'No Kafka is named: set KAFKA_BROKERS, for example KAFKA_BROKERS=localhost:9092, or pass --brokers. Under "trunkline dev run -- …" it is set.',
  )
}

function logInMemory(): ConfigurationError {
  return new ConfigurationError(
    'LOG_IN_MEMORY',
    'The log is in the memory of the service\'s process, where no command can reach it. Start Kafka ("trunkline dev up"), or pass --brokers.',
  )
}

/** Who acts, for the audit: the user of the operating system and the machine. */
export function actor(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // A container may run under a number that has no name.
    return `uid ${process.getuid?.() ?? '?'}@${hostname()}`
  }
}
