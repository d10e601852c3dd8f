import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../../src/adapters/postgres/migrate.ts'
import { createDatabase } from '../../src/adapters/postgres/server-databases.ts'
import { freePorts } from '../../src/faces/stack/ports.ts'
import { type Stack, startStack } from '../../src/faces/stack/stack.ts'
import { until } from './wait.ts'

/** A server of the test's own, which may be killed and started again with its data, at the same address. */
export class PrivateServer {
  readonly #name: 'Kafka' | 'PostgreSQL'
  readonly #directory: string
  readonly #ports: { readonly kafka: number; readonly postgres: number }
  #stack: Stack | undefined

  private constructor(name: 'Kafka' | 'PostgreSQL', ports: readonly number[], disk: string) {
    this.#name = name
    this.#directory = mkdtempSync(join(disk, 'trunkline-private-'))
    // As root, PostgreSQL runs as another user, who must be able to walk in.
    chmodSync(this.#directory, 0o755)
    this.#ports = { kafka: ports[0] ?? 0, postgres: ports[1] ?? 0 }
  }

  /** @param disk where its data lies */
  static async start(name: 'Kafka' | 'PostgreSQL', disk = tmpdir()): Promise<PrivateServer> {
    const server = new PrivateServer(name, await freePorts(2), disk)
    await server.restart()
    return server
  }

  get brokers(): readonly string[] {
    return this.#running().brokers
  }

  /** Whether its process lives. */
  get running(): boolean {
    return this.#pids().some(isAlive)
  }

  /** Makes a migrated database on it. @returns its address */
  async migratedDatabase(name: string): Promise<string> {
    await createDatabase(this.#running().databaseUrl, name)
    const url = this.#running().databaseUrlOf(name)
    await migrate(url)
    return url
  }

  /**
   * As a machine that loses its power: the process and its children are gone when this resolves; what it had written stays.
   * A child of PostgreSQL that outlives it would answer one more COMMIT.
   */
  async kill(): Promise<void> {
    const pids = this.#pids().flatMap((pid) => [pid, ...childrenOf(pid)])
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    await until('the end of the server', () => !pids.some(isAlive))
    await this.#running().stop()
    this.#stack = undefined
  }

  async restart(): Promise<void> {
    const elsewhere = this.#name === 'Kafka' ? { databaseUrl: 'postgres://127.0.0.1:1/none' } : { brokers: ['127.0.0.1:1'] }
    this.#stack = await startStack({
      given: { brokers: undefined, databaseUrl: undefined, ...elsewhere },
      directory: this.#directory,
      ports: this.#ports,
      withoutDocker: 'a private server',
      real: true,
      env: process.env,
      say: () => undefined,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack?.stop()
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20 })
  }

  #pids(): readonly number[] {
    return this.#running().servers.find(({ name }) => name === this.#name)?.pids ?? []
  }

  #running(): Stack {
    if (this.#stack === undefined) throw new Error(`The private ${this.#name} does not run.`)
    return this.#stack
  }
}

function childrenOf(parent: number): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  const rows = stdout.trim().split('\n')
  return rows.flatMap((row) => {
    const [pid, ppid] = row.trim().split(/\s+/).map(Number)
    return ppid === parent && pid !== undefined ? [pid] : []
  })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
