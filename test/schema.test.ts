import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { readMigrations } from '../src/adapters/postgres/migrate.ts'
import { createTestDatabase } from './kit/database.ts'
import { dumpSchema } from './kit/schema-dump.ts'

const file = new URL('./schema.sql', import.meta.url)
const head = '-- What all migrations make together. Written by: TRUNKLINE_WRITE_SCHEMA=1 npx vitest run test/schema.test.ts\n\n'

test('test/schema.sql is what the migrations make', async () => {
  const { url } = await createTestDatabase()

  const dump = head + (await dumpSchema(url))
  if (process.env['TRUNKLINE_WRITE_SCHEMA'] === '1') await writeFile(file, dump)

  expect(await readFile(file, 'utf8')).toBe(dump)
})

test('the numbers of the migrations have no gap and no double', async () => {
  const numbers = (await readMigrations()).map(({ number }) => number)

  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
})
