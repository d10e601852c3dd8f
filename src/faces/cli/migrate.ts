import { Command } from 'commander'
import { migrate, migrationScript, readMigrations } from '../../adapters/postgres/migrate.ts'
import { type MigrationStatus, readMigrationStatus } from '../../adapters/postgres/migration-plan.ts'
import { withServer } from '../../adapters/postgres/operator-database.ts'
import { rolesScript } from '../../adapters/postgres/roles.ts'
import { systemClock } from '../../foundation/clock.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { exitCodes } from './exit-codes.ts'
import { type AddressFlags, databaseUrl, takesDatabase, takesJson } from './operator.ts'
import { count, printJson, printTable, say } from './print.ts'

interface MigrateFlags extends AddressFlags {
  readonly json?: boolean
  readonly sql?: boolean
}

/** `trunkline migrate`: Trunkline's own tables, in a schema of their own. */
export function migrateCommand(): Command {
  const command = new Command('migrate')
    .description("bring Trunkline's tables in the service's database up to date")
    .option('--sql', 'change nothing; print the script for a database that has none of them, to be run by your own tools')
    .addCommand(planCommand())
    .addCommand(statusCommand())
    .addCommand(rolesCommand())
  return takesJson(takesDatabase(command)).action(async (flags: MigrateFlags) => {
    if (flags.sql === true) {
      console.log(migrationScript(await readMigrations()))
      return
    }
    const report = await migrate(await databaseUrl(flags))
    if (flags.json === true) printJson(report)
    else if (report.applied.length === 0) console.log(`Nothing to do: the tables are in version ${report.version}.`)
    else for (const name of report.applied) console.log(`applied ${name}`)
    if (report.warning !== undefined) say(report.warning)
  })
}

function planCommand(): Command {
  const command = new Command('plan')
    .description('say what a migration would apply; exit 3 when there is something')
    .option('--sql', 'print it as a script, to be run by your own tools')
  return takesJson(takesDatabase(command)).action(async (_: MigrateFlags, command: Command) => {
    const flags: MigrateFlags = command.optsWithGlobals()
    const { pending } = await read(flags)
    if (flags.sql === true) console.log(pending.length === 0 ? '-- Nothing to do.' : migrationScript(pending))
    else if (flags.json === true) printJson({ pending: pending.map(({ name }) => name) })
    else if (pending.length === 0) console.log('Nothing to do.')
    else for (const { name } of pending) console.log(name)
    if (pending.length > 0) process.exitCode = exitCodes.findings
  })
}

function statusCommand(): Command {
  const command = new Command('status').description('say which version the tables are in; exit 3 when this package does not fit them')
  return takesJson(takesDatabase(command)).action(async (_: MigrateFlags, command: Command) => {
    const flags: MigrateFlags = command.optsWithGlobals()
    const status = await read(flags)
    const { version, known, applied, pending, changed } = status
    const fits = pending.length === 0 && changed.length === 0 && version <= known
    if (flags.json === true) printJson({ version, known, fits, applied, pending: pending.map(({ name }) => name), changed })
    else print(status)
    if (!fits) process.exitCode = exitCodes.findings
  })
}

function print({ version, known, applied, pending, changed }: MigrationStatus): void {
  const rows = [
    ...applied.map(({ name, appliedAt }) => ({
      name,
      state: changed.includes(name) ? 'CHANGED since' : 'applied',
      at: appliedAt.toISOString(),
    })),
    ...pending.map(({ name }) => ({ name, state: 'pending', at: '' })),
  ]
  printTable(rows, [
    { name: 'migration', of: ({ name }) => name },
    { name: 'state', of: ({ state }) => state },
    { name: 'at', of: ({ at }) => at },
  ])
  if (version > known) say(`The database is in version ${version}, this package knows only ${known}: upgrade the package.`)
  else if (pending.length > 0) say(`${count(pending.length, 'migration')} to apply: trunkline migrate`)
}

function rolesCommand(): Command {
  return new Command('roles')
    .description('print SQL for three roles that may do what they need and no more: who migrates, services, the relay')
    .option('--owner <name>', 'owns the schema and migrates', 'trunkline_owner')
    .option('--runtime <name>', 'services', 'trunkline_runtime')
    .option('--relay <name>', 'the relay', 'trunkline_relay')
    .action((flags: { owner: string; runtime: string; relay: string }) => {
      const { owner, runtime, relay } = flags
      if (new Set([owner, runtime, relay]).size < 3) {
        throw new ConfigurationError('OPTION_INVALID', '--owner, --runtime and --relay must be three different names.')
      }
      console.log(rolesScript({ owner, runtime, relay }))
    })
}

async function read(flags: MigrateFlags): Promise<MigrationStatus> {
  return await withServer(await databaseUrl(flags), 'trunkline migrate', systemClock, readMigrationStatus)
}
