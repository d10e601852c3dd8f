import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { devCommand } from './dev.ts'
import { exitCodeOf, exitCodes, shownError } from './exit-codes.ts'
import { failureCommand } from './failure.ts'
import { groupCommand } from './group.ts'
import { initCommand } from './init.ts'
import { migrateCommand } from './migrate.ts'
import { outboxCommand } from './outbox.ts'
import { relayCommand } from './relay.ts'
import { schemaCommand } from './schema.ts'
import { topicCommand } from './topic.ts'

/** Runs one command line; the exit code is left in `process.exitCode`, so that what is still written gets out. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync([...argv])
  } catch (error) {
    // Commander has printed its message, or the help that was asked for.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    else {
      process.stderr.write(`${shownError(error, /\btrunkline\b|^\*$/.test(process.env['DEBUG'] ?? ''))}\n`)
      process.exitCode = exitCodeOf(error)
    }
  }
}

function program(): Command {
  return inherit(
    new Command('trunkline')
      .description('Event-driven messaging for TypeScript services: Kafka topics, Avro contracts, an outbox, effects applied once, sagas.')
      .version(version(), '-V, --version', 'print the version')
      .helpOption('-h, --help', 'print this help')
      .addCommand(initCommand(version()))
      .addCommand(devCommand())
      .addCommand(migrateCommand())
      .addCommand(schemaCommand())
      .addCommand(topicCommand())
      .addCommand(groupCommand())
      .addCommand(relayCommand())
      .addCommand(outboxCommand())
      .addCommand(failureCommand())
      .addHelpText('after', helpText),
  )
}

const helpText = `
Start here:
  $ trunkline init                          a first message and its service, in this folder
  $ trunkline dev run -- node src/main.ts   Kafka, PostgreSQL and your program, in one command

Exit codes: 0 done, 1 failed, 2 wrong command or configuration, 3 a check found something,
4 Kafka, PostgreSQL or the registry cannot be reached, 130 interrupted. Data goes to stdout, progress to stderr.`

/** Commander hands settings down only to commands that it made itself; ours come from files of their own. */
function inherit(command: Command): Command {
  command.exitOverride().showSuggestionAfterError(true).showHelpAfterError('Run with --help to see what there is.')
  command.helpCommand(false)
  for (const child of command.commands) inherit(child)
  return command
}

const manifestSchema = z.object({ version: z.string() })

function version(): string {
  return manifestSchema.parse(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))).version
}
