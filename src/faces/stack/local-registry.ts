import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TransientError } from '../../foundation/errors.ts'
import { freePorts, portFrom } from './ports.ts'
import { apicurioVersion, type RegistryInstallation } from './registry-installation.ts'
import { ServerProcess } from './server-process.ts'
import type { Watchdog } from './watchdog.ts'

const readyMsMax = 60_000
const startsMax = 3
/** Where Apicurio speaks Confluent's API. */
const apiPath = '/apis/ccompat/v7'

export interface LocalRegistryOptions {
  /** Holds its log and, in `data`, its schemas; must exist. */
  readonly directory: string
  /** Its port, or the next free one; any free port when not given. */
  readonly port?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** One schema registry in a JVM of this machine, on loopback only. */
export interface LocalRegistry {
  /** The root of its Confluent API. */
  readonly url: string
  readonly process: ServerProcess
  /** `Apicurio Registry 3.3.3 on Java 25`. */
  readonly title: string
}

interface Parts {
  readonly watchdog: Watchdog
  readonly installation: RegistryInstallation
}

/**
 * Starts a registry and waits until it answers.
 *
 * Its schemas are kept in a file: the topics that are kept beside it name them by their ids.
 *
 * @throws TransientError it ended or did not answer in time; nothing of it runs any more
 */
export async function startLocalRegistry(parts: Parts, options: LocalRegistryOptions): Promise<LocalRegistry> {
  for (let start = 1; ; start++) {
    const port = options.port === undefined ? ((await freePorts(1))[0] ?? 0) : await portFrom(options.port)
    const process = registryProcess(parts, options.directory, port)
    try {
      await process.start()
      const url = `http://127.0.0.1:${port}${apiPath}`
      await ready(process, url, options.signal)
      return { url, process, title: `Apicurio Registry ${apicurioVersion} on Java ${parts.installation.java.version}` }
    } catch (error) {
      await process.stop('SIGKILL')
      // Between our look and the JVM's bind another process may have taken the port.
      const passing = /already in use|already bound/i.test(await process.logTail(60))
      if (!passing || start === startsMax || options.signal?.aborted === true) throw error
    }
  }
}

function registryProcess({ watchdog, installation }: Parts, directory: string, port: number): ServerProcess {
  return new ServerProcess(
    { watchdog },
    {
      name: 'the schema registry',
      command: installation.java.executable,
      args: [
        '-Xms64m',
        '-Xmx256m',
        '-XX:+UseSerialGC',
        '-XX:TieredStopAtLevel=1',
        '-Xshare:auto',
        '-Djava.awt.headless=true',
        '-Dquarkus.http.host=127.0.0.1',
        `-Dquarkus.http.port=${port}`,
        // One line for each request otherwise.
        '-Dquarkus.log.level=WARN',
        '-Dquarkus.http.access-log.enabled=false',
        '-Dapicurio.storage.kind=sql',
        '-Dapicurio.storage.sql.kind=h2',
        `-Dapicurio.datasource.url=jdbc:h2:file:${join(directory, 'data', 'registry')}`,
        '-jar',
        installation.jarPath,
      ],
      cwd: directory,
      logPath: join(directory, 'registry.log'),
      stopSignal: 'SIGTERM',
      orphanSignal: 'SIGTERM',
    },
  )
}

async function ready(process: ServerProcess, url: string, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + readyMsMax
  while (!(await isAnswering(url))) {
    signal?.throwIfAborted()
    if (!process.running) throw await notReady(process, `ended with ${await process.exited} before it was ready`)
    if (Date.now() > deadline) throw await notReady(process, `did not answer within ${readyMsMax / 1_000} s`)
    await sleep(50)
  }
}

/** Whether a schema registry answers there. */
export async function isAnswering(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(2_000), redirect: 'manual' })
    await response.body?.cancel()
    // One that wants a login is there too.
    return response.ok || response.status === 401
  } catch {
    return false
  }
}

async function notReady(process: ServerProcess, what: string): Promise<TransientError> {
  return new TransientError('REGISTRY_NOT_STARTED', `${process.name} ${what}. Its last lines:\n${await process.logTail()}`, {
    pid: process.pid,
  })
}
