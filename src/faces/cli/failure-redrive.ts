import { Command, InvalidArgumentError, Option } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { PostgresFailureStore } from '../../adapters/postgres/failure-store.ts'
import { type FailureRow, handledNames, readFailure } from '../../adapters/postgres/queries/failures.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import type { Readable, Reader } from '../../core/failures/readable.ts'
import { type RedriveEnd, type RedriveReport, redrive } from '../../core/failures/redrive.ts'
import { systemClock } from '../../foundation/clock.ts'
import { durationMs } from '../../foundation/duration.ts'
import { type ActFlags, consent, takesConsent } from './consent.ts'
import { exitCodes } from './exit-codes.ts'
import { type FilterFlags, selectFailures, takesFilter } from './failure-filter.ts'
import { keyText, stateOf } from './failure-list.ts'
import { readerOf } from './failure-show.ts'
import { interruption } from './interruption.ts'
import { actor, takesJson, withDatabase } from './operator.ts'
import { age, count, printJson, printTable, say } from './print.ts'
import { schemasFlag } from './schema-project.ts'

interface RedriveFlags extends FilterFlags, ActFlags {
  readonly all?: boolean
  readonly atOnce?: boolean
  readonly rate: number
  readonly within: number
  readonly schemas?: string
  readonly json?: boolean
}

/** `trunkline failure redrive`. */
export function redriveCommand(): Command {
  const command = new Command('redrive')
    .description("put messages back into their keys' queues, in this group only: one, then 2, 5, 10, … while their causes stay away")
    .argument('[ids...]', 'ids, or the beginnings of them; without any, what the filters say')
    .option('--all', 'every dead letter, without a filter')
    .option('--at-once', 'without the ramp: nobody waits for how the first ones do')
    .option('--rate <n>', 'messages a second at most, 1 to 10000', rateOf, 20)
    .addOption(new Option('--within <duration>', 'how long the messages of one step may take').argParser(withinMs).default(60_000, '60s'))
    .option(...schemasFlag)
  takesConsent(takesFilter(command, 'parked or dead (default: dead)'))
  return takesJson(command)
    .addHelpText('after', helpText)
    .action(async (ids: readonly string[], flags: RedriveFlags) => {
      const reader = await readerOf(flags)
      await withDatabase(flags, 'failure redrive', (database) => act(database, ids, flags, reader))
    })
}

const helpText = `
The message keeps its place: it stands before those of its key that came later, its attempts begin anew. It never goes
through the topic, so no other group sees it again.

Exit codes: 0 all were applied, 1 some failed again or were not run, 3 the cause returned and the ramp stopped.`

async function act(
  database: Database<Transaction>,
  ids: readonly string[],
  flags: RedriveFlags,
  reader: Reader | undefined,
): Promise<void> {
  const selected = await selectFailures(database, flags, ['dead'], ids)
  if (selected.length === 0) return flags.json === true ? printJson({ selected: 0 }) : say('No message fits: nothing to do.')
  const forecasts = await forecast(database, selected, reader)
  const doomed = forecasts.filter(({ readable, handled }) => readable?.verdict === 'no' || !handled).length
  if (flags.json === true && flags.dryRun === true) return printJson(forecasts.map(forecastJson))
  if (flags.json !== true) printForecast(forecasts)
  if (doomed > 0) say(`${count(doomed, 'message')} will fail again as things are: see READABLE and HANDLED.`)
  const reason = await consent(flags, `Redrive ${count(selected.length, 'message')}${flags.atOnce === true ? ' at once' : ', as a canary'}`)
  if (reason === undefined) return
  using interrupted = interruption()
  const parts = { database, failures: new PostgresFailureStore(database), audit: new PostgresAuditLog(database), clock: systemClock }
  const report = await redrive(
    parts,
    selected,
    {
      actor: actor(),
      reason,
      rate: flags.rate,
      canary: flags.atOnce !== true,
      stepMs: flags.within,
      onStep: ({ redriven, of, applied, failed }) => say(`${redriven} of ${of} put back: ${applied} applied, ${failed} failed again.`),
    },
    interrupted.signal,
  )
  if (flags.json === true) printJson(report)
  else tell(report)
  process.exitCode = exitCodeOf(report)
}

/** What can be said of a message before it is put back. */
interface Forecast {
  readonly row: FailureRow
  /** `undefined` where there are no schemas to read it with. */
  readonly readable: Readable | undefined
  readonly handled: boolean
}

async function forecast(
  database: Database<Transaction>,
  rows: readonly FailureRow[],
  reader: Reader | undefined,
): Promise<readonly Forecast[]> {
  const handled = new Map<string, ReadonlySet<string>>()
  const forecasts: Forecast[] = []
  for (const row of rows) {
    const names = handled.get(row.group) ?? (await handledNames(database.outside, row.group))
    handled.set(row.group, names)
    const detail = reader === undefined ? undefined : await readFailure(database.outside, row)
    const readable = detail === undefined ? undefined : reader?.read(detail.record, detail.place)
    const name = readable?.verdict === 'yes' ? readable.message.name : row.type.replace(/\.v\d+$/, '')
    forecasts.push({ row, readable, handled: names.has(name) })
  }
  return forecasts
}

function printForecast(forecasts: readonly Forecast[]): void {
  printTable(forecasts, [
    { name: 'ID', of: ({ row }) => row.id.slice(0, 8) },
    { name: 'GROUP', of: ({ row }) => row.group },
    { name: 'STATE', of: ({ row }) => stateOf(row) },
    { name: 'TYPE', of: ({ row }) => row.type },
    { name: 'KEY', of: ({ row }) => keyText(row.key) },
    { name: 'AGE', of: ({ row }) => age(row.ageMs), right: true },
    { name: 'HANDLED', of: ({ handled }) => (handled ? 'yes' : 'no') },
    { name: 'READABLE', of: ({ readable }) => readableText(readable) },
  ])
}

function readableText(readable: Readable | undefined): string {
  if (readable === undefined) return 'unknown: no schemas here'
  return readable.verdict === 'yes' ? 'yes' : `${readable.verdict}: ${readable.reason.slice(0, 120)}`
}

function forecastJson({ row, readable, handled }: Forecast): Record<string, unknown> {
  const reason = readable === undefined || readable.verdict === 'yes' ? null : readable.reason
  return { group: row.group, id: row.id, state: stateOf(row), type: row.type, handled, readable: readable?.verdict ?? 'unknown', reason }
}

function tell({ end, selected, redriven, applied, failed, waiting, gone }: RedriveReport): void {
  say(
    `${redriven} of ${selected} put back: ${applied} applied, ${failed.length} failed again, ${waiting} not run yet, ${gone} gone before.`,
  )
  const explained: Readonly<Record<RedriveEnd, string>> = {
    done: '',
    'the cause returned': `The cause returned: ${failed.map(({ id }) => id.slice(0, 8)).join(', ')}. What was not put back is as it was. See "trunkline failure show".`,
    'nobody ran it': 'Nobody ran it in time: is a process of the group running that handles it? It runs as soon as there is one.',
    interrupted: 'Interrupted: what was put back stays put back, the rest is as it was.',
  }
  if (explained[end] !== '') say(explained[end])
}

function exitCodeOf({ end, failed, waiting }: RedriveReport): number {
  if (end === 'the cause returned') return exitCodes.findings
  return end === 'done' && failed.length === 0 && waiting === 0 ? exitCodes.ok : exitCodes.failure
}

function rateOf(text: string): number {
  const rate = Number(text)
  if (Number.isInteger(rate) && rate >= 1 && rate <= 10_000) return rate
  throw new InvalidArgumentError('It must be 1 to 10000.')
}

function withinMs(text: string): number {
  const ms = durationMs(text)
  if (ms === undefined || ms < 1_000) throw new InvalidArgumentError('It must be a duration of at least 1s.')
  return ms
}
