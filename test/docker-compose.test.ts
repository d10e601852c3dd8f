import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const serviceSchema = z.object({
  image: z.string(),
  profiles: z.array(z.string()).optional(),
  ports: z.array(z.string()),
  environment: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
  volumes: z.array(z.string()).optional(),
  healthcheck: z.object({ test: z.array(z.string()) }).loose(),
})
const composeSchema = z.strictObject({
  name: z.string(),
  services: z.object({ kafka: serviceSchema, postgres: serviceSchema, registry: serviceSchema, 'kafka-ui': serviceSchema }),
  volumes: z.record(z.string(), z.unknown()),
})

// A strict object: the obsolete `version:` key would not parse.
const compose = composeSchema.parse(parse(readFileSync(new URL('../docker-compose.yml', import.meta.url), 'utf8')))
const services = Object.entries(compose.services)

test('runs the images that the stack runs, and the others only on their profile', () => {
  expect(services.map(([name, { image, profiles }]) => [name, image, profiles])).toEqual([
    ['kafka', 'apache/kafka:4.3.1', undefined],
    ['postgres', 'postgres:18', undefined],
    ['registry', expect.stringMatching(/^apicurio\/apicurio-registry:3\./), ['registry']],
    ['kafka-ui', expect.stringMatching(/^kafbat\/kafka-ui:v\d/), ['ui']],
  ])
})

test.each(services)('%s has a health check, so that --wait waits for it', (_, { healthcheck }) => {
  expect(healthcheck.test[0]).toMatch(/^CMD/)
  expect(healthcheck.test.length).toBeGreaterThan(1)
})

test.each(services)('%s publishes its ports on 127.0.0.1 only, each under a variable', (_, { ports }) => {
  expect(ports).not.toHaveLength(0)
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\$\{TRUNKLINE_[A-Z]+_PORT:-\d+\}:\d+$/)
})

test('no two services want the same port or variable', () => {
  const published = services.flatMap(([, { ports }]) => ports.map((port) => /\$\{(\w+):-(\d+)\}/.exec(port)?.slice(1) ?? []))

  expect(new Set(published.flat()).size).toBe(published.flat().length)
})

test('Kafka advertises the very port that is published', () => {
  const { environment = {}, ports } = compose.services.kafka
  const published = /^127\.0\.0\.1:(\$\{.*\}):\d+$/.exec(ports[0] ?? '')?.[1]

  expect(String(environment['KAFKA_ADVERTISED_LISTENERS']).split(',')).toContain(`HOST://127.0.0.1:${published}`)
  expect(environment['KAFKA_AUTO_CREATE_TOPICS_ENABLE']).toBe('false')
})

test('data is in named volumes, PostgreSQL 18 where the image moved it', () => {
  const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')))

  for (const [name = ''] of mounts) expect(compose.volumes).toHaveProperty(name)
  expect(mounts).toContainEqual(['postgres-data', '/var/lib/postgresql'])
  expect(mounts).toContainEqual(['kafka-data', String(compose.services.kafka.environment?.['KAFKA_LOG_DIRS'])])
})
