import { Command, InvalidArgumentError } from 'commander'
import { devDown, devHost, devStatus, devUp } from './dev-background.ts'
import { devRun } from './dev-run.ts'
import type { WantedStack } from './dev-stack.ts'

/** `trunkline dev`: Kafka and PostgreSQL for development. */
export function devCommand(): Command {
  const command = new Command('dev')
    .enablePositionalOptions()
    .description('Kafka and PostgreSQL for development: given addresses, Docker, or servers on this machine')
  command
    .command('up')
    .description('start them in the background, migrate the database, create missing topics; print the addresses')
    .option('--brokers <count>', 'Kafka nodes, 1 or 3', nodeCount, 1)
    .option('--registry', 'a schema registry too, in REGISTRY_URL (needs Java 21)')
    .action(async (flags: StackFlags) => await devUp(process.cwd(), wantedBy(flags)))
  command
    .command('down')
    .description('stop what "dev up" started; its data stays')
    .action(async () => await devDown(process.cwd()))
  command
    .command('status')
    .description('say what runs, and where; exit 1 when nothing does')
    .option('--json', 'print one JSON document')
    .action(async (flags: { json?: boolean }) => await devStatus(process.cwd(), flags.json === true))
  command
    .command('run')
    .description('run a command with the addresses in its environment; start the servers if none run, and stop those again')
    .usage('[options] -- <command> [arguments...]')
    .argument('<command...>', 'the command, after --')
    .option('--brokers <count>', 'Kafka nodes, 1 or 3', nodeCount, 1)
    .option('--registry', 'a schema registry too, in REGISTRY_URL (needs Java 21)')
    .passThroughOptions()
    .action(async (words: string[], flags: StackFlags) => await devRun(process.cwd(), words, wantedBy(flags)))
  command
    .command('host', { hidden: true })
    .description('the process behind "dev up"')
    .option('--brokers <count>', '', nodeCount, 1)
    .option('--registry', '')
    .action(async (flags: StackFlags) => await devHost(process.cwd(), wantedBy(flags)))
  return command
}

interface StackFlags {
  readonly brokers: number
  readonly registry?: boolean
}

function wantedBy({ brokers, registry = false }: StackFlags): WantedStack {
  return { nodes: brokers, registry }
}

function nodeCount(text: string): number {
  if (text === '1' || text === '3') return Number(text)
  throw new InvalidArgumentError('It must be 1 or 3.')
}
