import { Command } from 'commander'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { loadConfigFile } from './config-file.ts'

/** `trunkline migrate`: Trunkline's own tables, in a schema of their own. */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description("bring Trunkline's tables in the service's database up to date")
    .option('--database-url <url>', 'the database (default: DATABASE_URL, then "database" of trunkline.config.ts)')
    .option('--json', 'print one JSON document')
    .action(async (flags: { databaseUrl?: string; json?: boolean }) => {
      const url = flags.databaseUrl ?? process.env['DATABASE_URL'] ?? (await urlInConfig())
      if (url === undefined) throw noDatabase()
      const report = await migrate(url)
      if (flags.json === true) console.log(JSON.stringify(report))
      else if (report.applied.length === 0) console.log(`Nothing to do: the tables are in version ${report.version}.`)
      else for (const name of report.applied) console.log(`applied ${name}`)
    })
}

async function urlInConfig(): Promise<string | undefined> {
  const { database } = await loadConfigFile(process.cwd())
  return database !== undefined && 'connectionString' in database ? database.connectionString : undefined
}

function noDatabase(): ConfigurationError {
  return new ConfigurationError(
    'DATABASE_UNKNOWN',
    'No database to migrate: set DATABASE_URL, for example DATABASE_URL=postgres://user:password@localhost:5432/orders, or pass --database-url. "trunkline dev run" migrates by itself.',
  )
}
