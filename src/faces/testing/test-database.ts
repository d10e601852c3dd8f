import { createHash, randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { migrate, readMigrations } from '../../adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../../adapters/postgres/server-databases.ts'
import { serverUrlOf } from './test-server.ts'

/** What the names of the databases of tests begin with. */
export const TEST_DATABASES = 'trunkline-testing-'

/** A migrated database of one test's own. */
export interface TestDatabase {
  readonly url: string
  drop(): Promise<void>
}

/** A test database that is so old belongs to nobody any more: its process died before it could drop it. */
const STALE_MS = 3_600_000

/** A spare that nobody took for so long is not taken any more: other processes may take it for a stale one soon. */
const SPARE_MS = STALE_MS / 2

/** The next test's database, made while this one's test runs: copying takes longer than most tests. */
const spares = new Map<string, { readonly name: Promise<string>; readonly until: number }>()

/**
 * Makes a database as a copy of one that is migrated once per server and version of the tables.
 *
 * @param server any database of the server, with a user that may create others
 * @throws ConfigurationError `TEST_DATABASE_MISSING`, `DATABASE_REFUSED`
 */
export async function createTestDatabase(server: string | undefined): Promise<TestDatabase> {
  const serverUrl = await serverUrlOf(server)
  const spare = spares.get(serverUrl)
  const name = await (spare !== undefined && performance.now() < spare.until ? spare.name : copyTemplate(serverUrl))
  const next = copyTemplate(serverUrl)
  spares.set(serverUrl, { name: next, until: performance.now() + SPARE_MS })
  // Whoever needs it makes one, and hears why it cannot be made.
  next.catch(() => spares.delete(serverUrl))
  return {
    url: urlOf(serverUrl, name),
    drop: async () => {
      await dropDatabases(serverUrl, name)
    },
  }
}

async function copyTemplate(serverUrl: string): Promise<string> {
  const template = await templateOn(serverUrl)
  const name = `${TEST_DATABASES}${Date.now().toString(36)}-${randomBytes(6).toString('hex')}`
  await createDatabase(serverUrl, name, template)
  return name
}

const templates = new Map<string, Promise<string>>()

function templateOn(serverUrl: string): Promise<string> {
  const known = templates.get(serverUrl)
  if (known !== undefined) return known
  const made = makeTemplate(serverUrl)
  templates.set(serverUrl, made)
  // A server that did not answer may do so for the next test.
  made.catch(() => templates.delete(serverUrl))
  return made
}

/** Several processes may test on one server: the first one migrates, the others wait for it. */
async function makeTemplate(serverUrl: string): Promise<string> {
  const migrations = await readMigrations()
  const version = createHash('sha256').update(migrations.map(({ checksum }) => checksum).join())
  const name = `${TEST_DATABASES}template-${version.digest('hex').slice(0, 12)}`
  const draft = `${name}-draft`
  const turn = new Client({ connectionString: serverUrl, application_name: 'trunkline testing' })
  turn.on('error', () => undefined)
  await turn.connect()
  try {
    await turn.query(turnSql, [name])
    await dropStale(turn)
    const { rows } = await turn.query('select from pg_database where datname = $1', [name])
    if (rows.length > 0) return name
    await dropDatabases(serverUrl, draft)
    await createDatabase(serverUrl, draft)
    await migrate(urlOf(serverUrl, draft))
    // Renamed only when it is complete, so a failed migration is not taken for a template.
    await turn.query(`alter database ${turn.escapeIdentifier(draft)} rename to ${turn.escapeIdentifier(name)}`)
    return name
  } finally {
    await turn.end()
  }
}

async function dropStale(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(unusedSql, [TEST_DATABASES])
  for (const { name } of rows) {
    const [madeAt = ''] = name.slice(TEST_DATABASES.length).split('-')
    if (Date.now() - Number.parseInt(madeAt, 36) < STALE_MS || madeAt === 'template') continue
    await client.query(`drop database if exists ${client.escapeIdentifier(name)}`).catch(() => undefined)
  }
}

const unusedSql = `
  select datname as name from pg_database as d
   where starts_with(datname, $1) and not exists (select from pg_stat_activity as s where s.datid = d.oid)`

const turnSql = 'select pg_advisory_lock(hashtextextended($1, 0))'

function urlOf(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
