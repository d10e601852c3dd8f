import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { isFree } from '../../../src/faces/stack/ports.ts'
import { isRunning, processStart } from '../../../src/faces/stack/process-identity.ts'
import { registryServer } from '../../kit/registry-server.ts'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
  stdout(): string
}

const registry = await registryServer()
let project = ''

beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), 'trunkline-dev-'))
  // As root, PostgreSQL runs as a user who could not walk in, and the data would be kept elsewhere.
  await chmod(project, 0o755)
})

afterEach(async () => {
  await trunkline(['dev', 'down']).ended
  await rm(project, { recursive: true, force: true, maxRetries: 20 })
})

/** Kafka is not started for these tests: which log it is makes no difference to who starts and stops what. */
function trunkline(args: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
  const { KAFKA_BROKERS: _, DATABASE_URL: __, REGISTRY_URL: ___, ...rest } = process.env
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: project,
    env: { ...rest, KAFKA_DRIVER: 'memory', DOCKER_HOST: 'tcp://127.0.0.1:1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => (output.stderr += data.toString()))
  const ended = new Promise<Awaited<Run['ended']>>((resolve) => child.once('close', (code) => resolve({ code, ...output })))
  return { child, ended, stdout: () => output.stdout }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20)
}

interface Status {
  readonly running: boolean
  readonly pid?: number
  readonly servers?: readonly { readonly processes: readonly { readonly pid: number; readonly start: string }[] }[]
}

async function status(): Promise<Status> {
  const parsed: Status = JSON.parse((await trunkline(['dev', 'status', '--json']).ended).stdout)
  return parsed
}

const waits = 'console.log("port", new URL(process.env.DATABASE_URL).port); setInterval(() => {}, 1000)'

test('runs a command with the addresses in its environment, and ends with its exit code', async () => {
  const script = 'console.log(JSON.stringify([process.env.KAFKA_DRIVER, process.env.DATABASE_URL])); process.exit(7)'

  const { code, stdout } = await trunkline(['dev', 'run', '--', process.execPath, '-e', script]).ended

  expect(code).toBe(7)
  expect(JSON.parse(stdout)).toEqual(['memory', expect.stringMatching(/^postgresql:\/\/.*127\.0\.0\.1:\d+\/dev$/)])
})

test('lets the command finish on SIGINT, and only then stops the servers', async () => {
  const finishes = `process.on('SIGINT', () => fetchThenExit()); const fetchThenExit = () => {
    require('node:net').connect(new URL(process.env.DATABASE_URL).port, '127.0.0.1', () => process.exit(5)).on('error', () => process.exit(6)) }; ${waits}`
  const run = trunkline(['dev', 'run', '--', process.execPath, '-e', finishes])
  await until(() => run.stdout().startsWith('port '))

  run.child.kill('SIGINT')

  const { code, stdout } = await run.ended
  expect(code).toBe(5)
  expect(await isFree(Number(stdout.split(' ')[1]))).toBe(true)
})

test('ends the command and the servers when it is killed by SIGKILL', async () => {
  const run = trunkline(['dev', 'run', '--', process.execPath, '-e', `console.error(process.pid); ${waits}`])
  await until(() => run.stdout().startsWith('port '))
  const servers = (await status()).servers?.flatMap((server) => server.processes) ?? []
  expect(servers).toHaveLength(1)

  run.child.kill('SIGKILL')

  const command = Number(/^\d+$/m.exec((await run.ended).stderr)?.[0])
  await until(async () => (await processStart(command)) === undefined)
  for (const { pid, start } of servers) await until(async () => !(await isRunning(pid, start)))
})

test('a second "dev up" finds the first, and "dev run" uses it and leaves it running', async () => {
  const first = await trunkline(['dev', 'up']).ended
  const { pid } = await status()
  const second = await trunkline(['dev', 'up']).ended
  const run = await trunkline(['dev', 'run', '--', process.execPath, '-e', 'console.log(process.env.DATABASE_URL)']).ended

  expect([first.code, second.code, run.code]).toEqual([0, 0, 0])
  expect(second.stdout).toBe(first.stdout)
  expect(first.stdout).toContain(`DATABASE_URL=${run.stdout}`)
  expect(await status()).toMatchObject({ running: true, pid })
})

test('two that start at the same time share one stack', async () => {
  const both = await Promise.all([trunkline(['dev', 'up']).ended, trunkline(['dev', 'up']).ended])

  expect(both.map(({ code }) => code)).toEqual([0, 0])
  expect(both[0]?.stdout).toBe(both[1]?.stdout)
})

test('keeps the data between down and up', async () => {
  const create = `const { Client } = await import('${import.meta.resolve('pg')}'); const client = new Client({ connectionString: process.env.DATABASE_URL }); await client.connect();`
  const script = (sql: string): string[] => [
    process.execPath,
    '--input-type=module',
    '-e',
    `${create} console.log((await client.query('${sql}')).rows.length); await client.end()`,
  ]

  await trunkline(['dev', 'run', '--', ...script('create table kept as select 1 as one')]).ended
  const { stdout } = await trunkline(['dev', 'run', '--', ...script('select from kept')]).ended

  expect(stdout).toBe('1\n')
})

test('stops when its project is deleted under it', async () => {
  await trunkline(['dev', 'up']).ended
  const { pid = 0 } = await status()
  const started = (await processStart(pid)) ?? ''

  await rm(project, { recursive: true, force: true, maxRetries: 20 })

  await until(async () => !(await isRunning(pid, started)))
  await mkdir(project)
  expect((await status()).running).toBe(false)
})

test('starts anew after its background process was killed', async () => {
  await trunkline(['dev', 'up']).ended
  const { pid = 0 } = await status()

  process.kill(pid, 'SIGKILL')
  const again = await trunkline(['dev', 'up']).ended

  expect(again.code).toBe(0)
  expect((await status()).pid).not.toBe(pid)
})

test('says with its exit code whether it runs', async () => {
  const down = await trunkline(['dev', 'status']).ended
  await trunkline(['dev', 'up']).ended
  const up = await trunkline(['dev', 'status']).ended
  await trunkline(['dev', 'down']).ended
  const after = await trunkline(['dev', 'status']).ended

  expect([down.code, up.code, after.code]).toEqual([1, 0, 1])
})

test('migrates the database before the command runs', async () => {
  const { stderr } = await trunkline(['dev', 'run', '--', process.execPath, '-e', '']).ended

  expect(stderr).toContain('Migrated the database: 0001-')
})

test('takes given servers as they are and starts none', async () => {
  const given = { KAFKA_DRIVER: 'memory', KAFKA_BROKERS: '127.0.0.1:1', DATABASE_URL: inject('databaseUrl') }

  const { code, stdout } = await trunkline(['dev', 'run', '--', process.execPath, '-e', 'console.log(process.env.DATABASE_URL)'], given)
    .ended

  expect(code).toBe(0)
  expect(stdout.trim()).toBe(inject('databaseUrl'))
  await expect(readFile(join(project, '.trunkline', 'stack.json'))).rejects.toThrow('ENOENT')
})

test('says 127 when there is no such command', async () => {
  const { code, stderr } = await trunkline(['dev', 'run', '--', 'no-such-command-here']).ended

  expect(code).toBe(127)
  expect(stderr).toContain('"no-such-command-here" cannot be run')
})

const printsRegistry = 'console.log(process.env.REGISTRY_URL)'

test.skipIf(registry.missing !== undefined)(
  'adds a schema registry where one is asked for, and stops it too',
  async () => {
    const { code, stdout } = await trunkline(['dev', 'run', '--registry', '--', process.execPath, '-e', printsRegistry]).ended

    expect(code).toBe(0)
    expect(stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/apis\/ccompat\/v7\n$/)
    expect(await isFree(Number(new URL(stdout).port))).toBe(true)
  },
  60_000,
)

test('says so when the stack that runs has no schema registry, and takes a given one', async () => {
  expect((await trunkline(['dev', 'up']).ended).code).toBe(0)
  const words = ['dev', 'run', '--registry', '--', process.execPath, '-e', printsRegistry]

  const without = await trunkline(words).ended
  const given = await trunkline(words, { REGISTRY_URL: 'http://registry.example' }).ended

  expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('runs without a schema registry') })
  expect(given).toMatchObject({ code: 0, stdout: 'http://registry.example\n' })
})
