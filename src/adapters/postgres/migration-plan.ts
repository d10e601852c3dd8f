import type { Queryable } from '../../core/database/database.ts'
import { type Migration, readMigrations } from './migrate.ts'

/** What a database has of this package's migrations, and what it lacks. */
export interface MigrationStatus {
  /** The newest number the database has; 0 where there are no tables. */
  readonly version: number
  /** The newest number that this package knows. */
  readonly known: number
  readonly applied: readonly AppliedMigration[]
  readonly pending: readonly Migration[]
  /** Applied with another text than this package carries. */
  readonly changed: readonly string[]
}

export interface AppliedMigration {
  readonly name: string
  readonly appliedAt: Date
}

/** Reads it; a database that knows nothing of Trunkline is one that lacks everything. Nothing is changed. */
export async function readMigrationStatus(database: Queryable): Promise<MigrationStatus> {
  const migrations = await readMigrations()
  const { rows: found } = await database.query("select to_regclass('trunkline.migration') is not null as present")
  const rows = found[0]?.['present'] === true ? (await database.query(appliedSql)).rows : []
  const checksums = new Map(rows.map((row) => [Number(row['number']), String(row['checksum'])]))
  return {
    version: Math.max(0, ...checksums.keys()),
    known: migrations.at(-1)?.number ?? 0,
    applied: rows.map((row) => ({ name: String(row['name']), appliedAt: new Date(row['applied_at']) })),
    pending: migrations.filter(({ number }) => !checksums.has(number)),
    changed: migrations.filter(({ number, checksum }) => (checksums.get(number) ?? checksum) !== checksum).map(({ name }) => name),
  }
}

const appliedSql = 'select number, name, checksum, applied_at from trunkline.migration order by number'
