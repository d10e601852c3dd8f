import { join } from 'node:path'
import { z } from 'zod'
import { kafkajsAdmin } from '../../adapters/kafkajs/admin.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { backboneOptions, type Config } from '../../config.ts'
import type { LogAdmin } from '../../core/broker/log-admin.ts'
import { specOf } from '../../core/broker/topic-options.ts'
import { loadCatalogue } from '../../core/contract/catalogue.ts'
import { isTrunklineError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { loadConfigFile } from './config-file.ts'

/** Where programs find Kafka and PostgreSQL, as `environment()` reads it. */
export type Environment = Readonly<Record<string, string | undefined>>

const preparedOptions = z.object({ schemas: backboneOptions.shape.schemas, topics: backboneOptions.shape.topics })

/**
 * Makes the servers ready for the project: the database is migrated, topics that its schemas name and that are
 * missing are created. Only development does this; a service never changes the servers it starts on.
 *
 * @param directory the project's folder
 * @throws ConfigurationError the configuration or a schema cannot be used
 * @throws TransientError Kafka or PostgreSQL is unreachable; what was done stays
 */
export async function prepare(environment: Environment, directory: string, say: (line: string) => void): Promise<void> {
  const config = await loadConfigFile(directory)
  const { schemas, topics } = parseOptions(preparedOptions, config, 'trunkline.config.ts')
  const database = environment['DATABASE_URL']
  if (database !== undefined) {
    const { applied } = await migrate(database)
    if (applied.length > 0) say(`Migrated the database: ${applied.join(', ')}.`)
  }
  const brokers = environment['KAFKA_BROKERS']?.split(',').filter(Boolean) ?? []
  const names = environment['KAFKA_DRIVER'] === 'memory' || brokers.length === 0 ? [] : topicsOf(join(directory, schemas))
  if (names.length === 0) return
  const created = await createTopics(
    brokers,
    config,
    names.map((name) => specOf(name, topics)),
  )
  if (created.length > 0) say(`Created the topics: ${created.join(', ')}.`)
}

/** A project without schemas has no topics to create, and that is no mistake. */
function topicsOf(folder: string): readonly string[] {
  try {
    return loadCatalogue(folder).topics()
  } catch (error) {
    if (isTrunklineError(error, 'SCHEMAS_MISSING')) return []
    throw error
  }
}

async function createTopics(
  brokers: readonly string[],
  { kafka }: Config,
  specs: Parameters<LogAdmin['createTopics']>[0],
): Promise<readonly string[]> {
  const login = kafka === undefined || kafka.driver === 'memory' ? {} : { ssl: kafka.ssl, sasl: kafka.sasl }
  const admin = kafkajsAdmin({ brokers, clientId: 'trunkline-dev', ...login })
  try {
    return await admin.createTopics(specs)
  } finally {
    await admin.close()
  }
}
