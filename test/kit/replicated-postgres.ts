import { appendFileSync, chmodSync, chownSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { migrate } from '../../src/adapters/postgres/migrate.ts'
import { createDatabase } from '../../src/adapters/postgres/server-databases.ts'
import { type EmbeddedPostgres, postgresAccount, startEmbeddedPostgres } from '../../src/faces/stack/embedded-postgres.ts'
import { isMissing } from '../../src/faces/stack/missing.ts'
import { freePorts } from '../../src/faces/stack/ports.ts'
import { postgresBinaries } from '../../src/faces/stack/postgres-binaries.ts'
import { serverOwner } from '../../src/faces/stack/server-owner.ts'
import { ServerProcess } from '../../src/faces/stack/server-process.ts'
import { Watchdog } from '../../src/faces/stack/watchdog.ts'
import { FaultProxy } from './fault-proxy.ts'
import { until } from './wait.ts'

/**
 * Two PostgreSQL servers: a primary that commits only what its standby has too, and that standby. Clients know one
 * address, which leads to whichever is the primary.
 */
export class ReplicatedPostgres {
  readonly #directory = mkdtempSync(join(tmpdir(), 'trunkline-replicated-'))
  readonly #watchdog = new Watchdog()
  #primary: EmbeddedPostgres | undefined
  #standby: ServerProcess | undefined
  #standbyUrl = ''
  #proxy: FaultProxy | undefined

  static async start(): Promise<ReplicatedPostgres> {
    const servers = new ReplicatedPostgres()
    try {
      await servers.#start()
      return servers
    } catch (error) {
      await servers[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Makes a migrated database. @returns its address, which stays the same when the primary changes */
  async migratedDatabase(name: string): Promise<string> {
    await createDatabase(this.#urlOf('postgres'), name)
    await migrate(this.#urlOf(name))
    return this.#urlOf(name)
  }

  /** Kills the primary, and makes the standby the one. */
  async failOver(): Promise<void> {
    const pid = this.#primary?.process.pid
    if (pid === undefined) throw new Error('There is no primary.')
    process.kill(pid, 'SIGKILL')
    await this.#primary?.process.exited
    this.#proxy?.cut()
    await asked(this.#standbyUrl, 'select pg_promote(true, 60)')
    this.#proxy?.retarget(targetOf(this.#standbyUrl))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]()
    await this.#standby?.stop('SIGQUIT')
    await this.#primary?.stop()
    await this.#watchdog.close()
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20 })
  }

  async #start(): Promise<void> {
    // As root, PostgreSQL runs as another user, who must be able to walk in.
    chmodSync(this.#directory, 0o755)
    const parts = { watchdog: this.#watchdog }
    const started = await startEmbeddedPostgres(parts, { directory: this.#directory, keep: false, tuning: 'load' })
    if (isMissing(started)) throw new Error(`A primary needs PostgreSQL: ${started.what}.`)
    this.#primary = started
    const [port = 0] = await freePorts(1)
    this.#standbyUrl = started.serverUrl.replace(/:\d+\/postgres$/, `:${port}/postgres`)
    this.#standby = await this.#copied(started.serverUrl, port)
    await this.#standby.start()
    await until('the standby', async () => (await asked(this.#standbyUrl, 'select pg_is_in_recovery() as yes'))?.['yes'] === true, 60_000)
    await asked(started.serverUrl, "alter system set synchronous_standby_names = '*'")
    await asked(started.serverUrl, 'select pg_reload_conf()')
    await until('a synchronous standby', async () => {
      return (await asked(started.serverUrl, 'select sync_state as state from pg_stat_replication'))?.['state'] === 'sync'
    })
    this.#proxy = await new FaultProxy(targetOf(started.serverUrl)).start()
  }

  /** A copy of the primary's files, taken while it runs, as a base backup is. */
  async #copied(primaryUrl: string, port: number): Promise<ServerProcess> {
    const owner = await serverOwner()
    if (owner !== undefined && isMissing(owner)) throw new Error(owner.what)
    const binaries = await postgresBinaries(owner)
    if (isMissing(binaries)) throw new Error(binaries.what)
    const data = join(this.#directory, 'standby')
    const backup = new Client({ connectionString: primaryUrl })
    await backup.connect()
    await backup.query("select pg_backup_start('standby', true)")
    cpSync(join(this.#directory, 'data', 'postgres'), data, { recursive: true, filter: (path) => !/postmaster\.(pid|opts)$/.test(path) })
    const { rows } = await backup.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
    await backup.end()
    writeFileSync(join(data, 'backup_label'), rows[0]?.labelfile ?? '')
    writeFileSync(join(data, 'standby.signal'), '')
    const { port: primaryPort } = new URL(primaryUrl)
    const connection = `host=127.0.0.1 port=${primaryPort} user=${postgresAccount} password=${postgresAccount}`
    appendFileSync(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${connection}'\n`)
    chmodSync(data, 0o700)
    if (owner !== undefined) for (const path of everythingIn(data)) chownSync(path, owner.uid, owner.gid)
    const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'wal_level=logical', 'max_connections=200']
    return new ServerProcess(
      { watchdog: this.#watchdog },
      {
        name: 'PostgreSQL standby',
        command: binaries.postgres,
        args: ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
        env: { LC_ALL: 'C' },
        cwd: '/',
        logPath: join(this.#directory, 'standby.log'),
        owner,
        stopSignal: 'SIGQUIT',
        orphanSignal: 'SIGQUIT',
      },
    )
  }

  #urlOf(database: string): string {
    return `postgresql://${postgresAccount}:${postgresAccount}@127.0.0.1:${this.#proxy?.port}/${database}`
  }
}

function everythingIn(directory: string): readonly string[] {
  return [directory, ...readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) => join(directory, name))]
}

function targetOf(url: string): { readonly host: string; readonly port: number } {
  return { host: '127.0.0.1', port: Number(new URL(url).port) }
}

async function asked(url: string, sql: string): Promise<Record<string, unknown> | undefined> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows[0]
  } finally {
    await client.end()
  }
}
