import type { BackboneOptions } from './config.ts'
import { ConfigurationError } from './foundation/errors.ts'

type FromEnvironment = Pick<BackboneOptions, 'kafka' | 'database'> & Partial<Pick<BackboneOptions, 'logLevel' | 'registry'>>

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const

/**
 * Reads where Kafka and PostgreSQL are: `KAFKA_BROKERS`, `DATABASE_URL`, and, where set, `KAFKA_DRIVER`, `KAFKA_PREFIX`,
 * `REGISTRY_URL` and `LOG_LEVEL`.
 *
 * @throws ConfigurationError `ENVIRONMENT_INCOMPLETE` names the variable that is missing
 */
export function environment(variables: Readonly<Record<string, string | undefined>> = process.env): FromEnvironment {
  const driver = variables['KAFKA_DRIVER'] ?? 'kafkajs'
  const database = { connectionString: required(variables, 'DATABASE_URL', 'postgres://user:password@localhost:5432/orders') }
  const kafka = kafkaFrom(driver, variables)
  const logLevel = variables['LOG_LEVEL']
  const registry = variables['REGISTRY_URL']
  return {
    kafka,
    database,
    ...(registry === undefined || registry === '' ? {} : { registry: { url: registry } }),
    ...(logLevel === undefined || logLevel === '' ? {} : { logLevel: levelFrom(logLevel) }),
  }
}

function levelFrom(name: string): (typeof logLevels)[number] {
  const level = logLevels.find((known) => known === name)
  if (level !== undefined) return level
  throw new ConfigurationError('ENVIRONMENT_INVALID', `LOG_LEVEL is "${name}"; it must be one of ${logLevels.join(', ')}.`, {
    logLevel: name,
  })
}

function kafkaFrom(driver: string, variables: Readonly<Record<string, string | undefined>>): BackboneOptions['kafka'] {
  const prefix = variables['KAFKA_PREFIX'] ?? ''
  if (driver === 'memory') return { driver, prefix }
  if (driver !== 'kafkajs' && driver !== 'platformatic') {
    throw new ConfigurationError('ENVIRONMENT_INVALID', `KAFKA_DRIVER is "${driver}"; it must be "kafkajs", "platformatic" or "memory".`, {
      driver,
    })
  }
  const brokers = required(variables, 'KAFKA_BROKERS', 'localhost:9092').split(',')
  return { driver, prefix, brokers: brokers.map((broker) => broker.trim()).filter((broker) => broker !== '') }
}

function required(variables: Readonly<Record<string, string | undefined>>, name: string, example: string): string {
  const value = variables[name]
  if (value !== undefined && value !== '') return value
  throw new ConfigurationError(
    'ENVIRONMENT_INCOMPLETE',
    `${name} is not set. Set it, for example ${name}=${example}, or run the command under "npx trunkline dev run -- …", which sets it.`,
    { variable: name },
  )
}
