import { Client } from 'pg'
import { afterEach, expect, test, vi } from 'vitest'
import { serverUrlOf, testServer } from '../../../src/faces/testing/test-server.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test('a run has one server, which its processes find, and which is gone with the run', { timeout: 120_000 }, async () => {
  vi.stubEnv('TRUNKLINE_TEST_DATABASE_URL', undefined)

  const stop = await testServer()
  const url = await serverUrlOf(undefined)
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('select 1 as one')
  await client.end()
  await stop()

  expect(rows).toEqual([{ one: 1 }])
  expect(process.env['TRUNKLINE_TEST_DATABASE_URL']).toBeUndefined()
  await expect(new Client({ connectionString: url }).connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a server that is given is used, and nothing is started beside it', async () => {
  vi.stubEnv('TRUNKLINE_TEST_DATABASE_URL', 'postgres://given/by-environment')

  const stop = await testServer()

  expect(await serverUrlOf(undefined)).toBe('postgres://given/by-environment')
  expect(await serverUrlOf('postgres://given/by-option')).toBe('postgres://given/by-option')
  await stop()
  expect(process.env['TRUNKLINE_TEST_DATABASE_URL']).toBe('postgres://given/by-environment')
})
