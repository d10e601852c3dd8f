import { Client } from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from './database.ts'

test('gives each test a migrated database of its own', async () => {
  const [one, two] = await Promise.all([createTestDatabase(), createTestDatabase()])
  const client = new Client({ connectionString: one.url })
  await client.connect()

  const { rows } = await client.query("select to_regclass('trunkline.outbox') is not null as migrated")
  await client.end()

  expect(rows).toEqual([{ migrated: true }])
  expect(one.url).not.toBe(two.url)
  await Promise.all([one.drop(), two.drop()])
})
