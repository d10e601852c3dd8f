import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { generateContracts } from '../src/faces/cli/schema-generate.ts'
import { createTestDatabase } from './kit/database.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(root, 'docs/databases.md'), 'utf8')
const run = promisify(execFile)

/** The page's program, then what a test adds: it waits for the effect, and stops. */
const ending = `
const { setTimeout: pause } = await import('node:timers/promises')
for (let look = 0; look < 200 && (await db.select().from(demand)).length === 0; look++) await pause(50)
await backbone.stop()
await db.$client.end()
`

test('the program of the page compiles and does what it says', { timeout: 120_000 }, async () => {
  const { url } = await createTestDatabase()
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('create table demand (sku text not null); create table orders (id text primary key)')
  const folder = await project()

  const compiled = await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder]).catch((error: { stdout: string }) => error)
  const env = { PATH: process.env['PATH'], DATABASE_URL: url, KAFKA_DRIVER: 'memory', LOG_LEVEL: 'silent' }
  const flags = ['--import', join(root, 'test/kit/package-from-source.ts')]
  await run(process.execPath, [...flags, join(folder, 'main.ts')], { env, timeout: 60_000 })

  expect(compiled.stdout.split('\n').filter((line) => line.includes('trunkline-databases-doc'))).toEqual([])
  expect((await client.query('select sku from demand')).rows).toEqual([{ sku: 'tea' }])
  expect((await client.query('select id from orders')).rows).toEqual([{ id: 'o-1' }])
  // The handler's message went with its write; nobody stopped before the relay had sent it, or it waits.
  expect((await client.query("select from trunkline.outbox where topic = 'orders'")).rowCount).toBe(0)
})

async function project(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-databases-doc-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  generateContracts({ schemas: join(root, 'schemas'), out: join(folder, 'contracts') })
  const [, program = ''] = /<!-- file: main.ts -->\n```ts\n([\s\S]*?)```/.exec(page) ?? []
  await writeFile(join(folder, 'main.ts'), program + ending)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const compilerOptions = { typeRoots: [join(root, 'node_modules/@types')] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: ['.'] }))
  return folder
}
