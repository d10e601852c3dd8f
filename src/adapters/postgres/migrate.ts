import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { Client } from 'pg'
import type { Queryable } from '../../core/database/database.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { mapDatabaseError, mapPrivilegeError } from './errors.ts'

export interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

export interface MigrationReport {
  /** Applied by this run, in order; empty when the database was up to date. */
  readonly applied: readonly string[]
  /** The newest number the database has now. */
  readonly version: number
  /** What should be changed soon, for people. */
  readonly warning?: string
}

/**
 * Brings the tables of the `trunkline` schema up to date: numbered files, forward only, each in a transaction of its own.
 *
 * Any number of runs at the same time are safe: they take turns under one advisory lock.
 *
 * @throws ConfigurationError `DATABASE_NEWER`, `MIGRATION_CHANGED`: nothing was applied
 * @throws ConfigurationError `DATABASE_REFUSED`, `DATABASE_PRIVILEGE_MISSING`: says what the user needs
 * @throws TransientError the database is unreachable; what was applied stays
 */
export async function migrate(connectionString: string): Promise<MigrationReport> {
  const migrations = await readMigrations()
  const client = new Client({ connectionString, application_name: 'trunkline migrate' })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(bootstrapSql)
    const applied: string[] = []
    for (const migration of migrations) {
      if (await applyOnce(client, migration, migrations)) applied.push(migration.name)
    }
    const version = migrations.at(-1)?.number ?? 0
    const { rows } = await client.query<{ shared: boolean; name: string }>(sharedSql)
    return { applied, version, ...(rows[0]?.shared === true ? { warning: sharedSchema(rows[0].name) } : {}) }
  } catch (error) {
    throw mapDatabaseError(mapPrivilegeError(error, migrateRemedy), 'The migration could not run')
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * The same as a script, for people who let nothing but their own tools change a database: `psql -v ON_ERROR_STOP=1 -f`.
 *
 * It may run beside others and beside `migrate`: each step takes the same lock, and a migration that is there already ends it.
 */
export function migrationScript(migrations: readonly Migration[]): string {
  const steps = migrations.map(
    ({ number, name, checksum, sql }) => `
-- ${name}
begin isolation level read committed;
${lockSql};
${sql.trim()}
insert into trunkline.migration (number, name, checksum) values (${number}, '${name}', '${checksum}');
commit;
`,
  )
  return [bootstrapSql.trim().replace(/^ {2}/gm, ''), ...steps].join('\n')
}

/** The migrations of this version of the package, in order. */
export async function readMigrations(): Promise<readonly Migration[]> {
  const folder = new URL('./migrations/', import.meta.url)
  const names = (await readdir(folder)).filter((name) => /^\d{4}-.+\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folder), 'utf8')
      const checksum = createHash('sha256').update(sql).digest('hex')
      return { number: Number(name.slice(0, 4)), name, sql, checksum }
    }),
  )
}

/**
 * Whether this version of the package and the database fit together.
 *
 * @throws ConfigurationError `DATABASE_NOT_MIGRATED` or `DATABASE_NEWER`
 * @throws ConfigurationError `DATABASE_REFUSED`, `DATABASE_PRIVILEGE_MISSING`: says what the user needs
 * @throws TransientError the database is unreachable
 */
export async function checkMigrated(outside: Queryable): Promise<void> {
  const newest = (await readMigrations()).at(-1)?.number ?? 0
  const version = await currentVersion(outside)
  if (version < newest) {
    throw new ConfigurationError(
      'DATABASE_NOT_MIGRATED',
      `The database has Trunkline's tables in version ${version}, this program needs ${newest}. Run "npx trunkline migrate" with the same DATABASE_URL.`,
      { version, needed: newest },
    )
  }
  if (version > newest) throw newer(version, newest)
}

/** @returns 0 when there are no tables at all */
async function currentVersion(outside: Queryable): Promise<number> {
  try {
    const { rows: found } = await outside.query("select to_regclass('trunkline.migration') is not null as present")
    if (found[0]?.['present'] !== true) return 0
    const { rows } = await outside.query('select coalesce(max(number), 0)::int as version from trunkline.migration')
    return Number(rows[0]?.['version'])
  } catch (error) {
    throw mapPrivilegeError(error, serviceRemedy)
  }
}

const serviceRemedy =
  'Grant the service\'s user usage on the schema "trunkline" and select, insert, update and delete on all its tables, or use the user that ran "npx trunkline migrate".'

const migrateRemedy = 'Run "npx trunkline migrate" as a user that may create schemas in this database and owns the schema "trunkline".'

async function applyOnce(client: Client, migration: Migration, all: readonly Migration[]): Promise<boolean> {
  await client.query('begin isolation level read committed')
  try {
    await client.query(lockSql)
    const { rows } = await client.query('select number, checksum from trunkline.migration order by number')
    refuseNewer(rows, all)
    const existing = rows.find((row) => row.number === migration.number)
    if (existing === undefined) {
      await client.query(migration.sql)
      await client.query('insert into trunkline.migration (number, name, checksum) values ($1, $2, $3)', [
        migration.number,
        migration.name,
        migration.checksum,
      ])
    } else if (existing.checksum !== migration.checksum) {
      throw changed(migration)
    }
    await client.query('commit')
    return existing === undefined
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

// The first schema of the search path is where tables without a schema's name are made and found.
const sharedSql = "select current_schema() = 'trunkline' as shared, current_user as name"

function sharedSchema(user: string): string {
  return `User "${user}" finds the schema "trunkline" first, because it has the same name or because of its search_path: tables that your service makes without naming a schema would land among Trunkline's, and could have the name of one. Unless it only migrates: alter role "${user}" set search_path = public.`
}

function refuseNewer(rows: readonly { number: number }[], all: readonly Migration[]): void {
  const newest = all.at(-1)?.number ?? 0
  const version = Math.max(0, ...rows.map((row) => row.number))
  if (version > newest) throw newer(version, newest)
}

function newer(version: number, newest: number): ConfigurationError {
  return new ConfigurationError(
    'DATABASE_NEWER',
    `The database has Trunkline's tables in version ${version}, this program knows only ${newest}. Upgrade the trunkline package; going back is not supported.`,
    { version, known: newest },
  )
}

function changed(migration: Migration): ConfigurationError {
  return new ConfigurationError(
    'MIGRATION_CHANGED',
    `Migration ${migration.name} was applied with another text than this package carries. Released migrations never change: install the released package, or use a fresh database.`,
    { migration: migration.name },
  )
}

/** The lock's number is the first eight bytes of sha256('trunkline.migration'), read as a signed integer. */
const lockSql = `select pg_advisory_xact_lock(('x' || left(encode(sha256('trunkline.migration'), 'hex'), 16))::bit(64)::bigint)`

const bootstrapSql = `
  begin;
  ${lockSql};
  create schema if not exists trunkline;
  create table if not exists trunkline.migration (
    number     integer     primary key,
    name       text        not null,
    checksum   text        not null,
    applied_at timestamptz not null default now()
  );
  commit;`
