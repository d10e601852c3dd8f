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

  private constructor(name: 'Kafka' | 'PostgreSQL', ports: readonly number[]) {
    this.#name = name
    this.#directory = mkdtempSync(join(tmpdir(), 'trunkline-private-'))
    // As root, PostgreSQL runs as another user, who must be able to walk in.
    chmodSync(this.#directory, 0o755)
    this.#ports = { kafka: ports[0] ?? 0, postgres: ports[1] ?? 0 }
  }

  static async start(name: 'Kafka' | 'PostgreSQL'): Promise<PrivateServer> {
    const server = new PrivateServer(name, await freePorts(2))
    await server.restart()
    return server
  }

  get brokers(): readonly string[] {
    return this.#running().brokers
  }

  /** Makes a migrated database on it. @returns its address */
  async migratedDatabase(name: string): Promise<string> {
    await createDatabase(this.#running().databaseUrl, name)
    const url = this.#running().databaseUrlOf(name)
    await migrate(url)
    return url
  }

  /** The process is gone when this resolves; what it had written stays. */
  async kill(): Promise<void> {
    const server = this.#running().servers.find(({ name }) => name === this.#name)
    for (const pid of server?.pids ?? []) {
      process.kill(pid, 'SIGKILL')
      await until('the end of the server', () => !isAlive(pid))
    }
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

  #running(): Stack {
    if (this.#stack === undefined) throw new Error(`The private ${this.#name} does not run.`)
    return this.#stack
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
