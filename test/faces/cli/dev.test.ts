import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, inject, test } from 'vitest'
import { isFree } from '../../../src/faces/stack/ports.ts'
import { isRunning, processStart } from '../../../src/faces/stack/process-identity.ts'
import { registryServer } from '../../kit/registry-server.ts'

const bin = fileURLToPath(new URL('../../../src/faces/cli/bin.ts', import.meta.url))

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
  stdout(): string
}

interface Status {
  readonly running: boolean
  readonly pid?: number
  readonly servers?: readonly { readonly processes: readonly { readonly pid: number; readonly start: string }[] }[]
}

const registry = await registryServer()

/** A folder in which commands run, with a stack of its own that ends with it. */
class Project {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async create(): Promise<Project> {
    const folder = await mkdtemp(join(tmpdir(), 'trunkline-dev-'))
    // As root, PostgreSQL runs as a user who could not walk in, and the data would be kept elsewhere.
    await chmod(folder, 0o755)
    return new Project(folder)
  }

  /** Kafka is not started for these tests: which log it is makes no difference to who starts and stops what. */
  trunkline(args: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
    const { KAFKA_BROKERS: _, DATABASE_URL: __, REGISTRY_URL: ___, ...rest } = process.env
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: this.folder,
      env: { ...rest, KAFKA_DRIVER: 'memory', DOCKER_HOST: 'tcp://127.0.0.1:1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = { stdout: '', stderr: '' }
    child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()))
    child.stderr.on('data', (data: Buffer) => (output.stderr += data.toString()))
    const ended = new Promise<Awaited<Run['ended']>>((resolve) => child.once('close', (code) => resolve({ code, ...output })))
    return { child, ended, stdout: () => output.stdout }
  }

  async status(): Promise<Status> {
    const parsed: Status = JSON.parse((await this.trunkline(['dev', 'status', '--json']).ended).stdout)
    return parsed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (existsSync(join(this.folder, '.trunkline'))) await this.trunkline(['dev', 'down']).ended
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20 })
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20)
}

const waits = 'console.log("port", new URL(process.env.DATABASE_URL).port); setInterval(() => {}, 1000)'

const printsRegistry = 'console.log(process.env.REGISTRY_URL)'

test('runs a command with the addresses in its environment, and ends with its exit code', async () => {
  await using project = await Project.create()
  const script = 'console.log(JSON.stringify([process.env.KAFKA_DRIVER, process.env.DATABASE_URL])); process.exit(7)'

  const { code, stdout } = await project.trunkline(['dev', 'run', '--', process.execPath, '-e', script]).ended

  expect(code).toBe(7)
  expect(JSON.parse(stdout)).toEqual(['memory', expect.stringMatching(/^postgresql:\/\/.*127\.0\.0\.1:\d+\/dev$/)])
})

test('ends the command and the servers when it is killed by SIGKILL', async () => {
  await using project = await Project.create()
  const run = project.trunkline(['dev', 'run', '--', process.execPath, '-e', `console.error(process.pid); ${waits}`])
  await until(() => run.stdout().startsWith('port '))
  const servers = (await project.status()).servers?.flatMap((server) => server.processes) ?? []
  expect(servers).toHaveLength(1)

  run.child.kill('SIGKILL')

  const command = Number(/^\d+$/m.exec((await run.ended).stderr)?.[0])
  await until(async () => (await processStart(command)) === undefined)
  for (const { pid, start } of servers) await until(async () => !(await isRunning(pid, start)))
})

test('a second "dev up" finds the first, and "dev run" uses it and leaves it running', async () => {
  await using project = await Project.create()
  const first = await project.trunkline(['dev', 'up']).ended
  const { pid } = await project.status()
  const second = await project.trunkline(['dev', 'up']).ended
  const run = await project.trunkline(['dev', 'run', '--', process.execPath, '-e', 'console.log(process.env.DATABASE_URL)']).ended

  expect([first.code, second.code, run.code]).toEqual([0, 0, 0])
  expect(second.stdout).toBe(first.stdout)
  expect(first.stdout).toContain(`DATABASE_URL=${run.stdout}`)
  expect(await project.status()).toMatchObject({ running: true, pid })
})

test('two that start at the same time share one stack', async () => {
  await using project = await Project.create()
  const both = await Promise.all([project.trunkline(['dev', 'up']).ended, project.trunkline(['dev', 'up']).ended])

  expect(both.map(({ code }) => code)).toEqual([0, 0])
  expect(both[0]?.stdout).toBe(both[1]?.stdout)
})

test('keeps the data between down and up', async () => {
  await using project = await Project.create()
  const create = `const { Client } = await import('${import.meta.resolve('pg')}'); const client = new Client({ connectionString: process.env.DATABASE_URL }); await client.connect();`
  const script = (sql: string): string[] => [
    process.execPath,
    '--input-type=module',
    '-e',
    `${create} console.log((await client.query('${sql}')).rows.length); await client.end()`,
  ]

  await project.trunkline(['dev', 'run', '--', ...script('create table kept as select 1 as one')]).ended
  const { stdout } = await project.trunkline(['dev', 'run', '--', ...script('select from kept')]).ended

  expect(stdout).toBe('1\n')
})

test('stops when its project is deleted under it', async () => {
  await using project = await Project.create()
  await project.trunkline(['dev', 'up']).ended
  const { pid = 0 } = await project.status()
  const started = (await processStart(pid)) ?? ''

  await rm(project.folder, { recursive: true, force: true, maxRetries: 20 })

  await until(async () => !(await isRunning(pid, started)))
  await mkdir(project.folder)
  expect((await project.status()).running).toBe(false)
})

test('starts anew after its background process was killed', async () => {
  await using project = await Project.create()
  await project.trunkline(['dev', 'up']).ended
  const { pid = 0 } = await project.status()

  process.kill(pid, 'SIGKILL')
  const again = await project.trunkline(['dev', 'up']).ended

  expect(again.code).toBe(0)
  expect((await project.status()).pid).not.toBe(pid)
})

test('says with its exit code whether it runs', async () => {
  await using project = await Project.create()
  const down = await project.trunkline(['dev', 'status']).ended
  await project.trunkline(['dev', 'up']).ended
  const up = await project.trunkline(['dev', 'status']).ended
  await project.trunkline(['dev', 'down']).ended
  const after = await project.trunkline(['dev', 'status']).ended

  expect([down.code, up.code, after.code]).toEqual([1, 0, 1])
})

test('migrates the database before the command runs', async () => {
  await using project = await Project.create()
  const { stderr } = await project.trunkline(['dev', 'run', '--', process.execPath, '-e', '']).ended

  expect(stderr).toContain('Migrated the database: 0001-')
})

test('takes given servers as they are and starts none', async () => {
  await using project = await Project.create()
  const given = { KAFKA_DRIVER: 'memory', KAFKA_BROKERS: '127.0.0.1:1', DATABASE_URL: inject('databaseUrl') }

  const { code, stdout } = await project.trunkline(
    ['dev', 'run', '--', process.execPath, '-e', 'console.log(process.env.DATABASE_URL)'],
    given,
  ).ended

  expect(code).toBe(0)
  expect(stdout.trim()).toBe(inject('databaseUrl'))
  await expect(readFile(join(project.folder, '.trunkline', 'stack.json'))).rejects.toThrow('ENOENT')
})

test('says 127 when there is no such command', async () => {
  await using project = await Project.create()
  const { code, stderr } = await project.trunkline(['dev', 'run', '--', 'no-such-command-here']).ended

  expect(code).toBe(127)
  expect(stderr).toContain('"no-such-command-here" cannot be run')
})

test('says so when the stack that runs has no schema registry, and takes a given one', async () => {
  await using project = await Project.create()
  expect((await project.trunkline(['dev', 'up']).ended).code).toBe(0)
  const words = ['dev', 'run', '--registry', '--', process.execPath, '-e', printsRegistry]

  const without = await project.trunkline(words).ended
  const given = await project.trunkline(words, { REGISTRY_URL: 'http://registry.example' }).ended

  expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('runs without a schema registry') })
  expect(given).toMatchObject({ code: 0, stdout: 'http://registry.example\n' })
})
test('lets the command finish on SIGINT, and only then stops the servers', async () => {
  await using project = await Project.create()
  const finishes = `process.on('SIGINT', () => fetchThenExit()); const fetchThenExit = () => {
    require('node:net').connect(new URL(process.env.DATABASE_URL).port, '127.0.0.1', () => process.exit(5)).on('error', () => process.exit(6)) }; ${waits}`
  const run = project.trunkline(['dev', 'run', '--', process.execPath, '-e', finishes])
  await until(() => run.stdout().startsWith('port '))

  run.child.kill('SIGINT')

  const { code, stdout } = await run.ended
  expect(code).toBe(5)
  expect(await isFree(Number(stdout.split(' ')[1]))).toBe(true)
})

test.skipIf(registry.missing !== undefined)(
  'adds a schema registry where one is asked for, and stops it too',
  async () => {
    await using project = await Project.create()
    const ended = await project.trunkline(['dev', 'run', '--registry', '--', process.execPath, '-e', printsRegistry]).ended
    const { stdout } = ended

    expect(ended).toMatchObject({ code: 0 })
    expect(stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/apis\/ccompat\/v7\n$/)
    expect(await isFree(Number(new URL(stdout).port))).toBe(true)
  },
  60_000,
)
