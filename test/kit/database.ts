import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { inject } from 'vitest'
import { migrate } from '../../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../../src/adapters/postgres/server-databases.ts'

export interface TestDatabase {
  readonly url: string
  drop(): Promise<void>
}

/** A migrated database of the test's own, copied from one that is migrated once per run. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = inject('databaseUrl')
  const template = await templateDatabase(serverUrl)
  const name = `${inject('runPrefix')}${randomBytes(6).toString('hex')}`
  await createDatabase(serverUrl, name, template)
  return {
    url: urlOf(serverUrl, name),
    drop: async () => {
      await dropDatabases(serverUrl, name)
    },
  }
}

/** A database of the test's own with nothing in it, for tests of the migration itself. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  const serverUrl = inject('databaseUrl')
  const name = `${inject('runPrefix')}${randomBytes(6).toString('hex')}`
  await createDatabase(serverUrl, name)
  return {
    url: urlOf(serverUrl, name),
    drop: async () => {
      await dropDatabases(serverUrl, name)
    },
  }
}

let template: Promise<string> | undefined

function templateDatabase(serverUrl: string): Promise<string> {
  template ??= makeTemplate(serverUrl)
  return template
}

/** Test files run in processes of their own: the first one migrates, the others wait for it. */
async function makeTemplate(serverUrl: string): Promise<string> {
  const name = `${inject('runPrefix')}template`
  const draft = `${name}-draft`
  const turn = new Client({ connectionString: serverUrl })
  await turn.connect()
  try {
    await turn.query('select pg_advisory_lock(hashtextextended($1, 0))', [name])
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

function urlOf(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
