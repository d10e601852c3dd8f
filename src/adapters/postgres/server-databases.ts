import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { mapDatabaseError } from './errors.ts'

/**
 * Creates a database on a server, as a copy of `template` where one is named.
 *
 * @returns whether it was created; `false` when it was there already, and then it is left as it is
 * @throws TransientError the server is unreachable; nothing was created
 */
export async function createDatabase(serverUrl: string, name: string, template?: string): Promise<boolean> {
  return await onServer(serverUrl, `The database "${name}" could not be created`, async (client) => {
    const { rows } = await client.query('select from pg_database where datname = $1', [name])
    if (rows.length > 0) return false
    const source = template === undefined ? '' : ` template ${escapeIdentifier(template)}`
    try {
      await client.query(`create database ${escapeIdentifier(name)}${source}`)
      return true
    } catch (error) {
      // Two at once: the other one's is as good. 23505 is what the catalogue's index says to the later of the two.
      if (error instanceof Error && 'code' in error && (error.code === '42P04' || error.code === '23505')) return false
      throw error
    }
  })
}

/** Drops every database whose name begins with `prefix`, and ends the sessions that use them. @returns the names dropped */
export async function dropDatabases(serverUrl: string, prefix: string): Promise<readonly string[]> {
  return await onServer(serverUrl, `The databases "${prefix}…" could not be dropped`, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `select datname as name from pg_database where starts_with(datname, ${escapeLiteral(prefix)})`,
    )
    for (const { name } of rows) await client.query(`drop database if exists ${escapeIdentifier(name)} with (force)`)
    return rows.map((row) => row.name)
  })
}

async function onServer<Result>(serverUrl: string, doing: string, work: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: serverUrl, application_name: 'trunkline stack' })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    throw mapDatabaseError(error, doing)
  } finally {
    await client.end().catch(() => undefined)
  }
}
