import { Pool } from 'pg'
import { z } from 'zod'
import { MemoryLog } from './adapters/memory/memory-log.ts'
import type { Logger } from './core/logger.ts'
import { relayOptions } from './core/outbox/relay-options.ts'
import { sagaTimerOptions } from './core/saga/timers.ts'
import { duration } from './foundation/duration.ts'

const kafkaCommon = {
  /** Before the names of topics and groups in the cluster, so that several environments can share one. Default: nothing. */
  prefix: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{0,60}$/, 'expected letters, digits, ".", "_" and "-"')
    .default(''),
}

const kafkaAuthentication = {
  /** TLS to the brokers: `true`, or Node's TLS options (`ca`, `cert`, `key`, …). Default: none. */
  ssl: z.union([z.boolean(), z.custom<object>((value) => typeof value === 'object' && value !== null)]).optional(),
  /** How to log in; the user name and password are never logged. */
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
      username: z.string().min(1),
      password: z.string().min(1),
    })
    .optional(),
}

const kafkaOptions = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('kafkajs'),
    /** Addresses to ask first, `host:port`. */
    brokers: z.array(z.string().min(1)).min(1).readonly(),
    ...kafkaCommon,
    ...kafkaAuthentication,
  }),
  z.strictObject({
    /** The log lives in this process and dies with it: for tests, and for machines without Kafka. */
    driver: z.literal('memory'),
    /** Shared by the backbones of one process. Default: a log of its own. */
    log: z.instanceof(MemoryLog).optional(),
    ...kafkaCommon,
  }),
])

const databaseOptions = z.union([
  z.strictObject({
    /** `postgres://user:password@host:port/database` */
    connectionString: z.string().regex(/^postgres(ql)?:\/\//, 'expected postgres://user:password@host:port/database'),
    /** Connections for transactions, 2–500. Default 10. The relay opens two of its own. */
    maxConnections: z.int().min(2).max(500).default(10),
    /** How long to wait for a connection. Default '5s'. */
    connectTimeout: duration({ min: '100ms', max: '5m' }).prefault('5s'),
  }),
  z.strictObject({
    /** Your own `pg` pool; it is not ended by `stop()`. */
    pool: z.instanceof(Pool),
  }),
])

export const backboneOptions = z.strictObject({
  /** The service's name: its consumer group, and the source of its messages. Lower-case letters, digits, `-` and `.`. */
  service: z.string().regex(/^[a-z][a-z0-9.-]{0,62}$/, 'expected a name of lower-case letters, digits, "-" and "."'),
  kafka: kafkaOptions,
  database: databaseOptions,
  relay: relayOptions.prefault({}),
  timers: sagaTimerOptions.prefault({}),
  /** How long a statement waits for a lock. Default '10s'. */
  lockTimeout: duration({ min: '10ms', max: '10m' }).prefault('10s'),
  /** How long a frozen process may hold its transaction open, and a statement go unanswered. Default '60s'; above every handler's timeout. */
  idleInTransaction: duration({ min: '1s', max: '1h' }).prefault('60s'),
  /** How long `start()` waits for the database and the brokers. Default '30s'. */
  startTimeout: duration({ min: '100ms', max: '1h' }).prefault('30s'),
  /** How long `stop()` waits for what is running; closing connections may add two seconds. Default '10s'. */
  stopTimeout: duration({ min: '0ms', max: '10m' }).prefault('10s'),
  /** Where log lines go: anything like pino, or `false` for nowhere. Default: pino on standard output, level from LOG_LEVEL by `environment()`. */
  logger: z
    .union([z.custom<Logger>((value) => isLogger(value), 'expected a logger with debug, info, warn, error and child'), z.literal(false)])
    .optional(),
  /** Default 'info'. Ignored with a logger of your own. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Read by the command line: the folder of the `.avsc` files. Default 'schemas'. */
  schemas: z.string().min(1).default('schemas'),
  /** Read by the command line: where generated code goes. */
  schema: z.strictObject({ out: z.string().min(1).default('src/contracts') }).prefault({}),
  /** Read by `trunkline dev` when it creates missing topics. */
  topics: z
    .strictObject({ partitions: z.int().min(1).max(10_000).default(4), replicationFactor: z.int().min(1).max(15).default(1) })
    .prefault({}),
})

/** What a backbone is built from; every option says its limits and its default. */
export type BackboneOptions = z.input<typeof backboneOptions>
export type ParsedOptions = z.output<typeof backboneOptions>

/** The same for `trunkline.config.ts`, where addresses usually come from the environment. */
export type Config = Partial<BackboneOptions>

/** Gives a config file its types: `export default defineConfig({ schemas: 'schemas' })`. */
export function defineConfig(config: Config): Config {
  return config
}

function isLogger(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return ['debug', 'info', 'warn', 'error', 'child'].every((name) => typeof Reflect.get(value, name) === 'function')
}
