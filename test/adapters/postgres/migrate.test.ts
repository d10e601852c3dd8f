import { randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { expect, inject, test } from 'vitest'
import { migrate, readMigrations } from '../../../src/adapters/postgres/migrate.ts'
import { createBackbone } from '../../../src/index.ts'
import { createEmptyDatabase, createTestDatabase } from '../../kit/database.ts'

function backboneOn(connectionString: string) {
  return createBackbone({
    service: 'judge',
    kafka: { driver: 'memory' },
    database: { connectionString },
    startTimeout: '300ms',
    logger: false,
  })
}

async function run(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(text)
  await client.end()
}

test('twenty runs at once apply each migration once', { timeout: 60_000 }, async () => {
  const { url, drop } = await createEmptyDatabase()
  const names = (await readMigrations()).map(({ name }) => name)

  const reports = await Promise.all(Array.from({ length: 20 }, () => migrate(url)))

  expect(reports.flatMap(({ applied }) => applied).toSorted()).toEqual(names)
  expect(reports.every(({ version }) => version === names.length)).toBe(true)
  await drop()
})

test('a database that is up to date is left as it is', async () => {
  const { url } = await createTestDatabase()

  expect((await migrate(url)).applied).toEqual([])
})

test('a migration whose text was changed is refused', async () => {
  const { url } = await createTestDatabase()
  await run(url, "update trunkline.migration set checksum = 'another' where number = 1")

  await expect(migrate(url)).rejects.toMatchObject({ code: 'MIGRATION_CHANGED', name: 'ConfigurationError' })
})

test('a newer database is neither migrated nor used', async () => {
  const { url } = await createTestDatabase()
  await run(url, "insert into trunkline.migration (number, name, checksum) values (9999, '9999-later.sql', '')")

  await expect(migrate(url)).rejects.toMatchObject({ code: 'DATABASE_NEWER', message: expect.stringContaining('Upgrade') })
  await expect(backboneOn(url).start()).rejects.toMatchObject({ code: 'DATABASE_NEWER' })
})

test('a service does not start on a database without the tables, and says what to run', async () => {
  const { url } = await createEmptyDatabase()

  await expect(backboneOn(url).start()).rejects.toMatchObject({
    code: 'DATABASE_NOT_MIGRATED',
    message: expect.stringContaining('npx trunkline migrate'),
  })
})

test('a service that cannot reach its database says which address it tried', async () => {
  const nobody = new URL(inject('databaseUrl'))
  nobody.port = '1'
  nobody.password = 'secret'

  const error: unknown = await backboneOn(nobody.href)
    .start()
    .catch((thrown: unknown) => thrown)

  expect(error).toMatchObject({ name: 'TransientError', message: expect.stringContaining('127.0.0.1:1') })
  expect(String(error)).not.toContain('secret')
})

test('a user who may not read the tables, or make them, is told what to grant', async () => {
  const { url } = await createTestDatabase()
  const empty = await createEmptyDatabase()
  const name = `guest_${randomUUID().replaceAll('-', '')}`
  await run(url, `create role ${name} login password 'guest'`)
  const asGuest = (address: string): string => Object.assign(new URL(address), { username: name, password: 'guest' }).href

  const started = backboneOn(asGuest(url)).start()
  await expect(started).rejects.toMatchObject({ name: 'ConfigurationError', message: expect.stringContaining('Grant') })
  await run(url, `grant usage on schema trunkline to ${name}`)
  const startedAgain = backboneOn(asGuest(url)).start()
  await expect(startedAgain).rejects.toMatchObject({ name: 'ConfigurationError', code: 'DATABASE_PRIVILEGE_MISSING' })
  await expect(migrate(asGuest(empty.url))).rejects.toMatchObject({
    name: 'ConfigurationError',
    message: expect.stringContaining('owns the schema'),
  })
})
