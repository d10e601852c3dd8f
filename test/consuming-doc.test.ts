import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { generateContracts } from '../src/faces/cli/schema-generate.ts'
import { createTestDatabase } from './kit/database.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(root, 'docs/consuming.md'), 'utf8')
const run = promisify(execFile)

/** Runs the page's subscriptions on a log in memory, and prints what they did. */
const program = `
import { createBackbone } from 'trunkline'
import { OrderPlaced } from './contracts/orders.ts'
import { ReserveStock } from './contracts/stock.ts'
import { reactions } from './reactions.ts'

const backbone = createBackbone({ service: 'stock', kafka: { driver: 'memory' }, database: { connectionString: process.env.DATABASE_URL }, logger: false })
reactions(backbone)
await backbone.transaction(async (tx) => {
  await tx.query("create table demand as select 'tea' as sku, 0 as ordered")
  await tx.query("create table stock as select 'tea' as sku, 4 as available")
  await tx.query('create table audit (order_id uuid, quantity int)')
})
const applied = Promise.withResolvers()
let count = 0
backbone.diagnostics.on(({ name }) => name === 'delivery.applied' && ++count === 6 && applied.resolve())
await backbone.start()
for (let order = 0; order < 2; order++) {
  const orderId = crypto.randomUUID()
  await backbone.transaction((tx) => backbone.publish(tx, [OrderPlaced({ orderId, sku: 'tea', quantity: 3, total: 1250 }), ReserveStock({ orderId, sku: 'tea', quantity: 3 })]))
}
await applied.promise
const { rows } = await backbone.transaction((tx) => tx.query('select ordered, available, (select sum(quantity)::int from audit) as audited from demand join stock using (sku)'))
console.log(JSON.stringify(rows))
await backbone.stop()
`

test('the subscriptions of the page on consuming compile, and do what they say', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-consuming-doc-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  generateContracts({ schemas: join(root, 'schemas'), out: join(folder, 'contracts') })
  const [, name = '', text = ''] = /<!-- file: (\S+) -->\n```ts\n([\s\S]*?)```/.exec(page) ?? []
  await writeFile(join(folder, name), text)
  await writeFile(join(folder, 'main.ts'), program)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const compilerOptions = { typeRoots: [join(root, 'node_modules/@types')] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: [name] }))
  const { url } = await createTestDatabase()

  const compiled = await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { timeout: 60_000 }).catch(
    (error: { stdout: string }) => error,
  )
  const { stdout } = await run(process.execPath, ['--import', join(root, 'test/kit/package-from-source.ts'), join(folder, 'main.ts')], {
    env: { PATH: process.env['PATH'], DATABASE_URL: url },
    timeout: 40_000,
  })

  expect(compiled.stdout.split('\n').filter((line) => line.includes(name))).toEqual([])
  expect(JSON.parse(stdout)).toEqual([{ ordered: 6, available: 1, audited: 6 }])
})

test('the statement by which a person moves a position is one that the database takes', async () => {
  const statement = /<!-- sql -->\n```sql\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
  const client = new Client({ connectionString: (await createTestDatabase()).url })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(
    "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('stock', 'orders', 3, 1, 7)",
  )

  const { rowCount } = await client.query(statement)

  expect(rowCount).toBe(1)
})
