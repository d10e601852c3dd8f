import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest'
import { type ActFlags, consent, takesConsent } from '../../../src/faces/cli/consent.ts'
import { actor, databaseUrl, withDatabase, withLog } from '../../../src/faces/cli/operator.ts'
import { age, printJson, printTable } from '../../../src/faces/cli/print.ts'
import { createEmptyDatabase, createTestDatabase } from '../../kit/database.ts'

let folder: string
let before: string

beforeEach(() => {
  before = process.cwd()
  folder = mkdtempSync(join(tmpdir(), 'trunkline-operator-'))
  for (const name of ['DATABASE_URL', 'KAFKA_BROKERS', 'KAFKA_DRIVER', 'KAFKA_PREFIX']) vi.stubEnv(name, undefined)
  vi.spyOn(process, 'cwd').mockReturnValue(folder)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

function configure(text: string): void {
  writeFileSync(join(folder, 'trunkline.config.ts'), `export default ${text}`)
}

/** What is written to standard output while `work` runs. */
function printed(work: () => void): string {
  const log = vi.spyOn(console, 'log').mockReturnValue(undefined)
  work()
  return log.mock.calls.map(([line]) => String(line)).join('\n')
}

test('a flag is stronger than the environment, and the environment than the file', async () => {
  configure("{ database: { connectionString: 'postgres://file/a' } }")

  const fromFile = await databaseUrl({})
  vi.stubEnv('DATABASE_URL', 'postgres://environment/a')
  const fromEnvironment = await databaseUrl({})
  const fromFlag = await databaseUrl({ databaseUrl: 'postgres://flag/a' })

  expect([fromFile, fromEnvironment, fromFlag]).toEqual(['postgres://file/a', 'postgres://environment/a', 'postgres://flag/a'])
})

test('a command without a database says what to set', async () => {
  await expect(databaseUrl({})).rejects.toMatchObject({ code: 'DATABASE_UNKNOWN', message: expect.stringContaining('--database-url') })
})

test('what is no address of a database is refused before it is dialled', async () => {
  await expect(databaseUrl({ databaseUrl: 'mysql://somewhere' })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
})

test('a command reads the database and leaves no connection behind', async () => {
  const { url } = await createTestDatabase()

  const rows = await withDatabase({ databaseUrl: url }, 'outbox status', async ({ outside }) => (await outside.query(sessionsSql)).rows)
  const later = await withDatabase({ databaseUrl: url }, 'other', async ({ outside }) => (await outside.query(sessionsSql)).rows)

  expect(rows).toEqual([{ application_name: 'trunkline outbox status' }])
  expect(later).toEqual([{ application_name: 'trunkline other' }])
})

const sessionsSql = `
  select application_name from pg_stat_activity
   where datname = current_database() and application_name like 'trunkline %'`

test('a command does not act on a database without our tables', async () => {
  const { url } = await createEmptyDatabase()

  await expect(withDatabase({ databaseUrl: url }, 'outbox status', async () => 1)).rejects.toMatchObject({ code: 'DATABASE_NOT_MIGRATED' })
})

test('an unreachable database is told as such, and that it can be tried again: a command does not do so by itself', async () => {
  const flags = { databaseUrl: 'postgres://nobody@127.0.0.1:1/none' }

  const failed = withDatabase(flags, 'outbox status', async () => 1)

  await expect(failed).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', message: expect.stringContaining('It can be tried again') })
})

test('a command reaches the topics of the service by the names that the service uses', async () => {
  vi.stubEnv('KAFKA_BROKERS', inject('brokers').join(','))
  vi.stubEnv('KAFKA_PREFIX', `${inject('runPrefix')}operator.`)

  const partitions = await withLog({}, async ({ admin }) => {
    await admin.createTopics([{ name: 'orders', partitions: 3, replicationFactor: 1 }])
    return await admin.partitionsOf('orders')
  })

  expect(partitions).toBe(3)
})

test('a command says that nobody named Kafka, and that a log in memory is out of reach', async () => {
  await expect(withLog({}, async () => 1)).rejects.toMatchObject({ code: 'KAFKA_UNKNOWN' })

  configure("{ kafka: { driver: 'memory' } }")
  await expect(withLog({}, async () => 1)).rejects.toMatchObject({ code: 'LOG_IN_MEMORY' })
})

test('without a terminal an act needs --yes and a reason', async () => {
  await expect(consent({}, 'Discard 1 message')).rejects.toMatchObject({ code: 'CONSENT_NEEDED' })
  await expect(consent({ yes: true }, 'Discard 1 message')).rejects.toMatchObject({ code: 'REASON_NEEDED' })
  await expect(consent({ yes: true, reason: 'x'.repeat(501) }, 'Discard')).rejects.toMatchObject({ code: 'REASON_TOO_LONG' })

  expect(await consent({ yes: true, reason: ' it is a duplicate ' }, 'Discard 1 message')).toBe('it is a duplicate')
})

test('a dry run says what would be done, and is no consent, whatever else was passed', async () => {
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)

  const reason = await consent({ dryRun: true, yes: true, reason: 'because' }, 'Discard 1 message')

  expect(reason).toBeUndefined()
  expect(stderr).toHaveBeenCalledWith('Discard 1 message: not done, this is a dry run.\n')
})

test('the flags of an act arrive as they are named', async () => {
  let seen: ActFlags = {}
  const command = takesConsent(new Command('discard')).action((flags: ActFlags) => {
    seen = flags
  })

  await command.parseAsync(['node', 'discard', '--dry-run', '-y', '--reason', 'because'])

  expect(seen).toEqual({ dryRun: true, yes: true, reason: 'because' })
})

test('a table is aligned, and no text of a message can steer the terminal', () => {
  const rows = [
    { key: 'a', rows: 12n },
    { key: 'long\u001b[2J', rows: 3n },
  ]

  const text = printed(() =>
    printTable(rows, [
      { name: 'key', of: (row) => row.key },
      { name: 'rows', of: (row) => row.rows, right: true },
    ]),
  )

  expect(text).toBe('key       rows\na           12\nlong·[2J     3')
})

test('a document keeps the digits of large numbers', () => {
  expect(printed(() => printJson({ seq: 9007199254740993n }))).toBe('{"seq":"9007199254740993"}')
})

test('an age is told in the unit that a person would use', () => {
  expect([age(null), age(20), age(4_200), age(130_000), age(7_200_000), age(172_800_000)]).toEqual([
    '-',
    '20 ms',
    '4 s',
    '2 min',
    '2 h',
    '2 d',
  ])
})

test('the audit names a person and a machine', () => {
  expect(actor()).toMatch(/^.+@.+$/)
})
