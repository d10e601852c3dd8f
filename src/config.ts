import { Pool } from 'pg'
import { z } from 'zod'
import { MemoryLog } from './adapters/memory/memory-log.ts'
import type { TransactionSource } from './adapters/orm/transaction-source.ts'
import { topicOptions } from './core/broker/topic-options.ts'
import { parkingOptions } from './core/consume/parking-options.ts'
import { compatibilityLevels } from './core/contract/evolution.ts'
import type { SchemaRegistry } from './core/contract/registry.ts'
import type { Transaction } from './core/database/database.ts'
import type { Logger } from './core/logger.ts'
import { outboxOptions } from './core/outbox/outbox-room.ts'
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
  /** How to log in; the user name, password and token are never logged. */
  sasl: z
    .discriminatedUnion('mechanism', [
      z.strictObject({
        mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
        username: z.string().min(1),
        password: z.string().min(1),
      }),
      z.strictObject({
        mechanism: z.literal('oauthbearer'),
        /** Gives a token that is valid now; asked for each connection, and again before a session ends. */
        token: z.custom<() => Promise<string>>((value) => typeof value === 'function', 'expected a function that gives a token'),
      }),
    ])
    .optional(),
}

const kafkaWire = {
  /** How batches are compressed before they are sent: 'none' (the default), 'gzip' or 'zstd'. Consumers read every compression. */
  compression: z.enum(['none', 'gzip', 'zstd']).default('none'),
}

const brokerExpected = 'expected a broker as host:port, without a protocol, such as localhost:9092'

// A service starts without Kafka, so what can never be an address is told here.
const brokerAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/,]+):\d{1,5}$/, brokerExpected)
  .refine((broker) => isPort(Number(broker.slice(broker.lastIndexOf(':') + 1))), brokerExpected)

const kafkaOptions = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('kafkajs'),
    /** Addresses to ask first, `host:port`. */
    brokers: z.array(brokerAddress).min(1).readonly(),
    ...kafkaCommon,
    ...kafkaAuthentication,
    ...kafkaWire,
  }),
  z.strictObject({
    /** Apache Kafka through `@platformatic/kafka`, which is to be installed beside this package. */
    driver: z.literal('platformatic'),
    /** Addresses to ask first, `host:port`. */
    brokers: z.array(brokerAddress).min(1).readonly(),
    /**
     * Makes the members of this process static, so that it may restart within the session timeout without a rebalance.
     * Each process needs one of its own, as a pod of a stateful set has. Default: none.
     */
    instanceId: z
      .string()
      .regex(/^[a-zA-Z0-9._-]{1,200}$/, 'expected letters, digits, ".", "_" and "-"')
      .optional(),
    /** The group forgets a member that it has not heard for so long, '1s' to '30m' and within the brokers' limits. Default '10s'. */
    sessionTimeout: duration({ min: '1s', max: '30m' }).prefault('10s'),
    ...kafkaCommon,
    ...kafkaAuthentication,
    ...kafkaWire,
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
    /** Connections for transactions, 2–500. Default 10. The relay opens two of its own, publishing one to call other processes. */
    maxConnections: z.int().min(2).max(500).default(10),
    /** How long to wait for a connection. Default '5s'. */
    connectTimeout: duration({ min: '100ms', max: '5m' }).prefault('5s'),
  }),
  z.strictObject({
    /** Your own `pg` pool; it is not ended by `stop()`. */
    pool: z.instanceof(Pool),
  }),
  /** The transactions of a database library: `drizzleDatabase(db)`, `kyselyDatabase(…)`, `prismaDatabase(…)`, `typeormDatabase(…)`. */
  z.custom<TransactionSource<object>>(
    isTransactionSource,
    'expected { connectionString }, { pool }, or what drizzleDatabase, kyselyDatabase, prismaDatabase or typeormDatabase returned',
  ),
])

const registryCommon = {
  /**
   * Under which subject a schema stands: 'TopicRecordName' (`<topic>-<full name>`, the default, for several types on a
   * topic), 'TopicName' (`<topic>-value`, what ksqlDB and Kafka Connect assume) or 'RecordName' (`<full name>`).
   */
  subjects: z.enum(['TopicRecordName', 'TopicName', 'RecordName']).default('TopicRecordName'),
}

const registryOptions = z.union([
  z.strictObject({
    /** The root of its Confluent API; a user and password in it are sent as basic auth. */
    url: z.string().refine(isHttpUrl, 'expected http://host:port, or https://'),
    /** How to log in; never logged. */
    auth: z
      .union([z.strictObject({ username: z.string().min(1), password: z.string() }), z.strictObject({ token: z.string().min(1) })])
      .optional(),
    /** How long one question may take, repetitions included; a first message of its type waits so long. Default '5s'. */
    timeout: duration({ min: '100ms', max: '30s' }).prefault('5s'),
    ...registryCommon,
  }),
  z.strictObject({
    /** Your own client: anything with `getById(id)` and `register(subject, schema)`; see `SchemaRegistry`. */
    client: z.custom<SchemaRegistry>(isRegistry, 'expected a client with getById and register'),
    ...registryCommon,
  }),
])

export const backboneOptions = z.strictObject({
  /** The service's name: its consumer group, and the source of its messages. Lower-case letters, digits and `-`; no `.`, which parts it from the names of its further groups. */
  service: z
    .string()
    .regex(
      /^[a-z][a-z0-9-]{0,62}$/,
      'expected a name of lower-case letters, digits and "-", at most 63; a "." parts a service from its groups ("shop.eu" is a group of "shop"): write "shop-eu"',
    ),
  kafka: kafkaOptions,
  database: databaseOptions,
  /**
   * A schema registry. With it values name their schema by the registry's id (`00` and id), without it by its
   * fingerprint (`C3 01`); both are read either way, ids only with it. Default: none.
   */
  registry: registryOptions.optional(),
  /** How much may wait; at the limit `publish` throws `OUTBOX_FULL`, and handlers that publish pause. */
  outbox: outboxOptions.prefault({}),
  relay: relayOptions.prefault({}),
  timers: sagaTimerOptions.prefault({}),
  parking: parkingOptions.prefault({}),
  inbox: z
    .strictObject({
      /**
       * How long a message that was handled is remembered, '1h'–'3650d'. Default '14d'. Longer than the topics' retention and
       * the longest outage together: a message that is sent again after it would be applied again.
       */
      keep: duration({ min: '1h', max: '3650d' }).prefault('14d'),
    })
    .prefault({}),
  /** How long a statement waits for a lock. Default '10s'. */
  lockTimeout: duration({ min: '10ms', max: '10m' }).prefault('10s'),
  /** How long a frozen process may hold its transaction open, and a statement go unanswered. Default '60s'; above every handler's timeout. */
  idleInTransaction: duration({ min: '1s', max: '1h' }).prefault('60s'),
  /** How long `start()` waits for the database. Default '30s'. Kafka is waited for no longer than five seconds, and is not needed. */
  startTimeout: duration({ min: '100ms', max: '1h' }).prefault('30s'),
  /** How long `stop()` waits for what is running; closing connections may add two seconds. Default '10s'. */
  stopTimeout: duration({ min: '0ms', max: '10m' }).prefault('10s'),
  /** How long a process that says nothing counts as alive. Default '10s'; a tenth of it is how often it speaks, and how soon a pause is heard. */
  heartbeat: duration({ min: '1s', max: '5m' }).prefault('10s'),
  /**
   * After how long a blocked event loop ends the process, by SIGKILL: nothing else in it could. Default '30s', the longest a
   * handler may take by default; `false` for never. Only `run()` starts it: whoever calls `start()` keeps the process to
   * himself. `trunkline relay`, where no handler runs, has it only where it is set.
   */
  watchdog: z.union([duration({ min: '1s', max: '10m' }), z.literal(false)]).prefault('30s'),
  /** Serves `/live`, `/ready` and `/health` to probes. Default: nothing is served. */
  health: z
    .strictObject({
      /** 0 for any that is free. */
      port: z.int().min(0).max(65_535),
      /** The address to listen at. Default '0.0.0.0', because probes come from outside of a container; '127.0.0.1' for this machine only. */
      host: z.string().min(1).default('0.0.0.0'),
    })
    .optional(),
  /** Where log lines go: anything like pino, or `false` for nowhere. Default: pino on standard output, level from LOG_LEVEL by `environment()`. */
  logger: z
    .union([z.custom<Logger>((value) => isLogger(value), 'expected a logger with debug, info, warn, error and child'), z.literal(false)])
    .optional(),
  /** Default 'info'. Ignored with a logger of your own. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Read by the command line: the folder of the `.avsc` files. Default 'schemas'. */
  schemas: z.string().min(1).default('schemas'),
  /** Read by the command line. */
  schema: z
    .strictObject({
      /** Where generated code goes. Default 'src/contracts'. */
      out: z.string().min(1).default('src/contracts'),
      /** How generated files name each other: '.ts' as Node runs them (the default), '.js' as a compiler's output needs it, or ''. */
      importExtension: z.enum(['.ts', '.js', '']).default('.ts'),
      /** Which versions of a message must be able to read which. Default 'FULL_TRANSITIVE': each one all the others. */
      compatibility: z.enum(compatibilityLevels).default('FULL_TRANSITIVE'),
      /** Another level for single messages, by full name: `{ 'shop.orders.OrderPlaced': 'NONE' }`. */
      overrides: z.record(z.string(), z.enum(compatibilityLevels)).default({}),
    })
    .prefault({}),
  /** Read by `trunkline topic`, and by `trunkline dev` when it creates missing topics. */
  topics: topicOptions.prefault({}),
})

/** What a backbone is built from; every option says its limits and its default. `Tx` is what its database hands out. */
export interface BackboneOptions<Tx extends object = Transaction> extends Omit<z.input<typeof backboneOptions>, 'database'> {
  readonly database: OwnDatabase | TransactionSource<Tx>
}
type OwnDatabase = Exclude<z.input<typeof databaseOptions>, TransactionSource<object>>
export type ParsedOptions = z.output<typeof backboneOptions>

/** The same for `trunkline.config.ts`, where addresses usually come from the environment. */
export type Config = Partial<BackboneOptions>

/** Gives a config file its types: `export default defineConfig({ schemas: 'schemas' })`. */
export function defineConfig(config: Config): Config {
  return config
}

function isTransactionSource(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return ['transaction', 'query', 'isTransaction'].every((name) => typeof Reflect.get(value, name) === 'function')
}

function isHttpUrl(text: string): boolean {
  const protocol = URL.parse(text)?.protocol
  return protocol === 'http:' || protocol === 'https:'
}

function isRegistry(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return ['getById', 'register'].every((name) => typeof Reflect.get(value, name) === 'function')
}

function isLogger(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return ['debug', 'info', 'warn', 'error', 'child'].every((name) => typeof Reflect.get(value, name) === 'function')
}

function isPort(port: number): boolean {
  return port > 0 && port < 65_536
}
