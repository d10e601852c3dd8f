import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, inject, test, vi } from 'vitest'
import { freePorts, isFree } from '../../../src/faces/stack/ports.ts'
import { isRunning, processStart } from '../../../src/faces/stack/process-identity.ts'
import { type Stack, type StackOptions, startStack } from '../../../src/faces/stack/stack.ts'

const noDocker = 'the test does without Docker'
const kafka = inject('brokers').length > 0
const folders: string[] = []
const stacks: Stack[] = []

afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(stacks.splice(0).map((stack) => stack.stop()))
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'trunkline-test-'))
  folders.push(path)
  return path
}

async function start(options: Partial<StackOptions> = {}): Promise<Stack> {
  const stack = await startStack({ env: process.env, say: () => undefined, withoutDocker: noDocker, ...options })
  stacks.push(stack)
  return stack
}

/** An environment in which Kafka cannot be fetched. */
async function withoutKafka(): Promise<NodeJS.ProcessEnv> {
  return { PATH: '', XDG_CACHE_HOME: await folder() }
}

test('starts nothing when both addresses are given', async () => {
  const given = { brokers: ['kafka.example:9092'], databaseUrl: 'postgresql://somebody@db.example/orders' }

  const stack = await start({ given })

  expect(stack.environment()).toEqual({ KAFKA_DRIVER: 'kafkajs', KAFKA_BROKERS: 'kafka.example:9092', DATABASE_URL: given.databaseUrl })
  expect(stack.databaseUrlOf('stock')).toBe('postgresql://somebody@db.example/stock')
  expect(stack.servers.map((server) => server.pids)).toEqual([[], []])
})

test('falls back to the memory log where Kafka cannot be had, and says what is missing, lost, and to be done', async () => {
  const lines: string[] = []

  const stack = await start({ env: await withoutKafka(), say: (line) => lines.push(line), given: { databaseUrl: inject('databaseUrl') } })

  expect(stack.driver).toBe('memory')
  expect(stack.environment()).not.toHaveProperty('KAFKA_BROKERS')
  expect(lines[0]).toMatch(/^No Kafka \(no (Java|Maven).*install .*\): messages .* are lost when it ends\.$/)
})

test('refuses to fall back to memory when the stack must be real', async () => {
  const attempt = start({ env: await withoutKafka(), real: true })

  await expect(attempt).rejects.toMatchObject({ name: 'ConfigurationError', code: 'STACK_NOT_REAL' })
})

test('leaves no process, port or folder behind', async () => {
  const temporary = await folder()
  await chmod(temporary, 0o755)
  vi.stubEnv('TMPDIR', temporary)
  const stack = await start({ memory: true })
  const [pid = 0] = stack.servers.flatMap((server) => server.pids)
  const started = (await processStart(pid)) ?? ''
  expect(await readdir(temporary)).toHaveLength(1)

  await stack.stop()

  expect(await isRunning(pid, started)).toBe(false)
  expect(await isFree(Number(new URL(stack.databaseUrl).port))).toBe(true)
  expect(await readdir(temporary)).toEqual([])
})

test('stops what it has started when it is told to stop half-way', async () => {
  const abort = new AbortController()
  const attempt = start({ memory: true, signal: abort.signal })

  abort.abort(new Error('enough'))

  await expect(attempt).rejects.toThrow('enough')
})

test.skipIf(!kafka)('two stacks that want the same ports at the same time both come up, each with servers of its own', async () => {
  const [kafkaPort = 0, postgresPort = 0] = await freePorts(2)
  const ports = { kafka: kafkaPort, postgres: postgresPort }

  const [one, two] = await Promise.all([start({ ports }), start({ ports })])

  expect(one.brokers).not.toEqual(two.brokers)
  expect(one.databaseUrl).not.toBe(two.databaseUrl)
})

test.skipIf(!kafka)('tells when a server ends by itself', async () => {
  const stack = await start({ given: { databaseUrl: inject('databaseUrl') } })
  const [pid = 0] = stack.servers.flatMap((server) => server.pids)

  process.kill(pid, 'SIGKILL')

  expect(await stack.ended).toBe('Kafka ended by itself (signal SIGKILL).')
})

test.skipIf(!kafka)('three nodes know each other', async () => {
  const stack = await start({ given: { databaseUrl: inject('databaseUrl') }, nodes: 3 })

  expect(stack.brokers).toHaveLength(3)
  expect(new Set(stack.servers.flatMap((server) => server.pids)).size).toBe(3)
})
