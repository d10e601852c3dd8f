import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { readMigrations } from '../../../src/adapters/postgres/migrate.ts'
import { createEmptyDatabase, createTestDatabase } from '../../kit/database.ts'
import { trunkline } from './run.ts'

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

test('plan and status tell what a new database lacks, and change nothing', async () => {
  const { url } = await createEmptyDatabase()
  const names = (await readMigrations()).map(({ name }) => name)

  const plan = await trunkline(['migrate', 'plan', '--json'], { DATABASE_URL: url })
  const status = await trunkline(['migrate', 'status', '--json', '--database-url', url])

  expect([plan.code, status.code]).toEqual([3, 3])
  expect(JSON.parse(plan.stdout)).toEqual({ pending: names })
  expect(JSON.parse(status.stdout)).toMatchObject({ version: 0, known: names.length, fits: false, applied: [], pending: names })
  const client = await connected(url)
  expect((await client.query("select from pg_namespace where nspname = 'trunkline'")).rowCount).toBe(0)
})

test('the printed script does what the command does, and a second run of it stops at what is there', async () => {
  const { url } = await createEmptyDatabase()
  const client = await connected(url)

  const { stdout: script } = await trunkline(['migrate', '--sql'])
  await client.query(script)
  const status = await trunkline(['migrate', 'status'], { DATABASE_URL: url })
  const again = client.query(script)

  expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining('0001-backbone.sql') })
  await expect(again).rejects.toMatchObject({ code: '42723' })
})

test('plan --sql prints only what is missing', async () => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  const last = (await readMigrations()).at(-1)
  await client.query('delete from trunkline.migration where number = $1', [last?.number])

  const { code, stdout } = await trunkline(['migrate', 'plan', '--sql'], { DATABASE_URL: url })

  expect(code).toBe(3)
  expect(stdout.match(/^-- \d{4}-.+\.sql$/gm)).toEqual([`-- ${last?.name}`])
})

test('status finds a migration that was changed after it was applied, and a database that is newer', async () => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  await client.query("update trunkline.migration set checksum = 'another' where number = 1")
  await client.query("insert into trunkline.migration (number, name, checksum) values (9999, '9999-later.sql', '')")

  const { code, stdout, stderr } = await trunkline(['migrate', 'status'], { DATABASE_URL: url })

  expect(code).toBe(3)
  expect(stdout).toMatch(/^0001-backbone\.sql +CHANGED since/m)
  expect(stderr).toContain('upgrade the package')
})

test('a user that finds our schema first is warned', async () => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  await client.query(`alter database ${client.escapeIdentifier(new URL(url).pathname.slice(1))} set search_path = trunkline, public`)

  const { code, stderr } = await trunkline(['migrate'], { DATABASE_URL: url })

  expect(code).toBe(0)
  expect(stderr).toContain('finds the schema "trunkline" first')
})

test('roles prints SQL for three different names', async () => {
  const { code, stdout } = await trunkline(['migrate', 'roles', '--runtime', 'shop'])
  const same = await trunkline(['migrate', 'roles', '--runtime', 'a', '--relay', 'a'])

  expect(code).toBe(0)
  expect(stdout).toContain('grant usage on schema trunkline to "shop"')
  expect(same.code).toBe(2)
})
