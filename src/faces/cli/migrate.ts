import { Command } from 'commander'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { type AddressFlags, databaseUrl, takesDatabase, takesJson } from './operator.ts'
import { printJson } from './print.ts'

/** `trunkline migrate`: Trunkline's own tables, in a schema of their own. */
export function migrateCommand(): Command {
  const command = new Command('migrate').description("bring Trunkline's tables in the service's database up to date")
  return takesJson(takesDatabase(command)).action(async (flags: AddressFlags & { json?: boolean }) => {
    const report = await migrate(await databaseUrl(flags))
    if (flags.json === true) printJson(report)
    else if (report.applied.length === 0) console.log(`Nothing to do: the tables are in version ${report.version}.`)
    else for (const name of report.applied) console.log(`applied ${name}`)
  })
}
