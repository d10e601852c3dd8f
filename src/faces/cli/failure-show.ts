import { Command } from 'commander'
import { PostgresAuditLog } from '../../adapters/postgres/audit-log.ts'
import { type FailureDetail, readFailure } from '../../adapters/postgres/queries/failures.ts'
import { loadCatalogue } from '../../core/contract/catalogue.ts'
import type { Database, Transaction } from '../../core/database/database.ts'
import { subjectOf } from '../../core/failures/act-by-hand.ts'
import type { AuditRecord } from '../../core/failures/audit.ts'
import { type Readable, Reader } from '../../core/failures/readable.ts'
import { ConfigurationError, isTrunklineError } from '../../foundation/errors.ts'
import { type FilterFlags, selectFailures } from './failure-filter.ts'
import { asJson, keyText, stateOf } from './failure-list.ts'
import { takesDatabase, takesJson, withDatabase } from './operator.ts'
import { age, count, printJson } from './print.ts'
import { loadSchemaProject, schemasFlag } from './schema-project.ts'

interface ShowFlags extends FilterFlags {
  readonly schemas?: string
  readonly json?: boolean
}

const ACTS_MAX = 50
const DATA_CHARACTERS_MAX = 4_000

/** `trunkline failure show`: one message, and everything that happened to it. */
export function showCommand(): Command {
  const command = new Command('show')
    .description('show one kept message: what it says, where it stood, every attempt, and what people did with it')
    .argument('<id>', 'its id, or the beginning of it')
    .option('--group <name>', 'of this consumer group')
    .option(...schemasFlag)
  return takesJson(takesDatabase(command)).action(async (id: string, flags: ShowFlags) => {
    const reader = await readerOf(flags)
    const { detail, acts } = await withDatabase(flags, 'failure show', (database) => find(database, flags, id))
    const readable = reader?.read(detail.record, detail.place)
    if (flags.json === true) printJson(documentOf(detail, acts, readable))
    else print(detail, acts, readable)
  })
}

/** @returns `undefined` where the project has no schemas: then the bytes are all that can be shown */
export async function readerOf(flags: { readonly schemas?: string }): Promise<Reader | undefined> {
  const { schemas } = await loadSchemaProject(flags)
  try {
    return new Reader(loadCatalogue(schemas))
  } catch (error) {
    if (flags.schemas === undefined && isTrunklineError(error, 'SCHEMAS_MISSING')) return undefined
    throw error
  }
}

async function find(database: Database<Transaction>, flags: ShowFlags, id: string) {
  const [row] = await selectFailures(database, flags, ['parked', 'dead', 'discarded'], [id])
  const detail = row === undefined ? undefined : await readFailure(database.outside, row)
  if (detail === undefined) throw new ConfigurationError('FAILURE_UNKNOWN', 'The message was settled just now.')
  return { detail, acts: await new PostgresAuditLog(database).of(subjectOf(detail), ACTS_MAX) }
}

function documentOf(detail: FailureDetail, acts: readonly AuditRecord[], readable: Readable | undefined): Record<string, unknown> {
  const { record, reason, parkedAt, discardedAt, dueAt, timeline } = detail
  return {
    ...asJson(detail),
    reason,
    parkedAt,
    discardedAt,
    dueAt,
    timestampMs: record.timestampMs,
    headers: record.headers.map(([name, value]) => [name, value.toString('base64')]),
    value: record.value?.toString('base64') ?? null,
    data: readable?.verdict === 'yes' ? plain(readable.message.data) : null,
    unreadable: readable === undefined || readable.verdict === 'yes' ? null : readable.reason,
    timeline,
    audit: acts,
  }
}

function print(detail: FailureDetail, acts: readonly AuditRecord[], readable: Readable | undefined): void {
  const { group, id, type, place, offset, attempts, cause, fingerprint, code, reason, dueAt, behind, record, ageMs } = detail
  const lines: (readonly [string, string])[] = [
    ['id', id],
    ['group', group],
    ['state', `${stateOf(detail)}, ${count(attempts, 'failed attempt')}, kept for ${age(ageMs)}${whatNext(detail, dueAt)}`],
    ['type', type],
    ['key', keyText(record.key) ?? 'none'],
    ['from', `${place.topic}/${place.partition}/${offset}, ${timeText(record.timestampMs)}`],
    ['queue', behind === 0 ? 'nobody waits behind it' : `${count(behind, 'message')} of its key behind it`],
    ['cause', fingerprint === null ? (code ?? 'none') : `${fingerprint}  ${cause}`],
    ['reason', reason === null || reason === '' ? 'none was kept' : reason],
  ]
  for (const [name, text] of lines) console.log(`${name.padEnd(8)}${clean(text)}`)
  console.log('\nheaders')
  for (const [name, value] of record.headers) console.log(`  ${clean(name)}: ${clean(value.toString())}`)
  console.log(`\ndata${dataText(record.value, readable)}`)
  console.log('\nhistory')
  for (const { at, text } of historyOf(detail, acts)) console.log(`  ${at.toISOString()}  ${clean(text)}`)
}

function whatNext({ state }: FailureDetail, dueAt: Date | null): string {
  if (state === 'dead') return '; a person must act'
  return dueAt === null ? '' : `; due ${dueAt.toISOString()}`
}

function dataText(value: Buffer | null, readable: Readable | undefined): string {
  if (readable?.verdict === 'yes')
    return `\n  ${clean(JSON.stringify(plain(readable.message.data), null, 2))
      .slice(0, DATA_CHARACTERS_MAX)
      .replaceAll('\n', '\n  ')}`
  const why = readable === undefined ? 'no schemas are here; see --schemas' : readable.reason
  return ` cannot be decoded: ${clean(why)}\n  ${value === null ? 'null' : `${value.length} bytes: ${value.toString('hex', 0, 64)}${value.length > 64 ? '…' : ''}`}`
}

/** Attempts and acts in one line of time. */
function historyOf({ timeline, parkedAt }: FailureDetail, acts: readonly AuditRecord[]): { at: Date; text: string }[] {
  const events = [
    { at: parkedAt, text: 'parked' },
    ...timeline.map(({ at, attempt, code, reason }) => ({
      at,
      text: `attempt ${attempt} failed: ${code}${reason === '' ? '' : `, ${reason}`}`,
    })),
    ...acts.map(({ at, act, actor, reason }) => ({ at, text: `${act} by ${actor}${reason === null ? '' : `: ${reason}`}` })),
  ]
  return events.toSorted((a, b) => a.at.getTime() - b.at.getTime())
}

function timeText(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString()
}

/** What JSON has no form for becomes text: 64-bit integers, bytes. */
function plain(data: unknown): unknown {
  return JSON.parse(JSON.stringify(data, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null')
}

/** What a terminal may be made to do by text from a topic. */
function clean(text: string): string {
  return text.replace(/[^\n\P{Cc}]|\p{Cf}/gu, '·')
}
