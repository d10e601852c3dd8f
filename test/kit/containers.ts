import { readFileSync } from 'node:fs'
import type { StartedTestContainer } from 'testcontainers'
import { parse } from 'yaml'
import { z } from 'zod'
import { dockerAnswers } from '../../src/faces/stack/docker.ts'
import { postgresAccount } from '../../src/faces/stack/embedded-postgres.ts'
import { freePorts } from '../../src/faces/stack/ports.ts'
import { Watchdog } from '../../src/faces/stack/watchdog.ts'

export interface Containers {
  readonly brokers: readonly string[] | undefined
  readonly databaseUrl: string | undefined
  /** Why there are none, or why there need not be more. */
  readonly why: string
  stop(): Promise<void>
}

const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.object({ image: z.string(), environment: z.record(z.string(), z.union([z.string(), z.number()])).optional() }),
  ),
})

/** Runs the images of `docker-compose.yml` when a Docker daemon answers; nothing of the person's own project is touched. */
export async function startContainers(wanted: { readonly kafka: boolean; readonly postgres: boolean }): Promise<Containers> {
  const none: Containers = { brokers: undefined, databaseUrl: undefined, why: 'given', stop: async () => undefined }
  if (!wanted.kafka && !wanted.postgres) return none
  const watchdog = new Watchdog()
  const answer = await dockerAnswers({ watchdog, env: process.env })
  await watchdog.close()
  if (answer !== true) return { ...none, why: answer.what }

  const { services } = composeSchema.parse(parse(readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8')))
  const [kafka, postgres] = await Promise.all([
    wanted.kafka && services['kafka'] ? startKafka(services['kafka'].image, services['kafka'].environment ?? {}) : undefined,
    wanted.postgres && services['postgres'] ? startPostgres(services['postgres'].image) : undefined,
  ])
  return {
    brokers: kafka?.brokers,
    databaseUrl: postgres?.url,
    why: 'Docker by testcontainers',
    stop: async () => {
      await Promise.all([kafka?.container.stop(), postgres?.container.stop()])
    },
  }
}

// `@testcontainers/kafka` runs Confluent's images only, so Apache's gets a generic container and the settings of the compose file.
async function startKafka(
  image: string,
  environment: Readonly<Record<string, string | number>>,
): Promise<{ readonly container: StartedTestContainer; readonly brokers: readonly string[] }> {
  const { GenericContainer, Wait } = await import('testcontainers')
  // The broker must know the port that clients see before it starts.
  const [port = 0] = await freePorts(1)
  const settings = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, String(value).replaceAll('@kafka:', '@localhost:')]),
  )
  const container = await new GenericContainer(image)
    .withEnvironment({ ...settings, KAFKA_ADVERTISED_LISTENERS: `INSIDE://localhost:19092,HOST://127.0.0.1:${port}` })
    .withExposedPorts({ container: 9092, host: port })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start()
  return { container, brokers: [`127.0.0.1:${port}`] }
}

async function startPostgres(image: string): Promise<{ readonly container: StartedTestContainer; readonly url: string }> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const container = await new GenericContainer(image)
    .withEnvironment({ POSTGRES_USER: postgresAccount, POSTGRES_PASSWORD: postgresAccount, POSTGRES_DB: postgresAccount })
    .withCommand(['postgres', '-c', 'wal_level=logical', '-c', 'max_connections=200', '-c', 'fsync=off'])
    .withExposedPorts(5432)
    // The image starts the server twice: once to set the database up, and then for good.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start()
  const url = `postgresql://${postgresAccount}:${postgresAccount}@${container.getHost()}:${container.getMappedPort(5432)}/${postgresAccount}`
  return { container, url }
}
