import { Client } from 'pg'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { type Backbone, createBackbone, fromPg } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createEmptyDatabase, createTestDatabase } from '../../kit/database.ts'

const Counted = countedOn('orders')

let client: Client
let backbone: Backbone

beforeEach(async () => {
  const { url } = await createTestDatabase()
  client = await connected(url)
  backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database: { connectionString: url }, logger: false })
  onTestFinished(() => backbone.stop())
})

async function connected(url: string): Promise<Client> {
  const made = new Client({ connectionString: url })
  await made.connect()
  onTestFinished(() => made.end())
  return made
}

async function published(): Promise<string[]> {
  const { rows } = await client.query<{ key: string }>("select convert_from(key, 'utf8') as key from trunkline.outbox order by seq")
  return rows.map((row) => row.key)
}

test('a message goes with the commit of a client of your own, and is gone with its rollback', async () => {
  await client.query('begin')
  await backbone.publish(fromPg(client), Counted({ key: 'kept', version: 1 }))
  await client.query('commit')
  await client.query('begin')
  await backbone.publish(fromPg(client), Counted({ key: 'undone', version: 1 }))
  await client.query('rollback')

  expect(await published()).toEqual(['kept'])
})

test('without BEGIN a message is refused, and nothing of it is left', async () => {
  const publishing = backbone.publish(fromPg(client), Counted({ key: 'lost', version: 1 }))

  await expect(publishing).rejects.toMatchObject({ name: 'PermanentError', code: 'TRANSACTION_NEEDED' })
  expect(await published()).toEqual([])
})

test('after COMMIT a message is refused, also through what was good before', async () => {
  const tx = fromPg(client)
  await client.query('begin')
  await backbone.publish(tx, Counted({ key: 'in time', version: 1 }))
  await client.query('commit')

  const late = backbone.publish(tx, Counted({ key: 'late', version: 1 }))

  await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_NEEDED' })
  expect(await published()).toEqual(['in time'])
})

test('several messages keep their order when only the last is awaited', async () => {
  const tx = fromPg(client)
  await client.query('begin')
  await Promise.all(['a', 'b', 'c'].map((key) => backbone.publish(tx, Counted({ key, version: 1 }))))
  await client.query('commit')

  expect(await published()).toEqual(['a', 'b', 'c'])
})

test('the next transaction of the same client is as good as the first', async () => {
  const tx = fromPg(client)
  for (const key of ['first', 'second']) {
    await client.query('begin')
    await backbone.publish(tx, Counted({ key, version: 1 }))
    await client.query('commit')
  }

  expect(await published()).toEqual(['first', 'second'])
})

test('what was published in a savepoint is undone with it, and the transaction goes on', async () => {
  const tx = fromPg(client)
  await client.query('begin')
  const undone = tx.savepoint(async () => {
    await backbone.publish(tx, Counted({ key: 'undone', version: 1 }))
    throw new Error('undo')
  })
  await expect(undone).rejects.toThrow('undo')
  await backbone.publish(tx, Counted({ key: 'kept', version: 1 }))
  await client.query('commit')

  expect(await published()).toEqual(['kept'])
})

test('a client of a database without our tables is told what is missing', async () => {
  const elsewhere = await connected((await createEmptyDatabase()).url)
  await elsewhere.query('begin')

  const publishing = backbone.publish(fromPg(elsewhere), Counted({ key: 'lost', version: 1 }))

  await expect(publishing).rejects.toMatchObject({ name: 'ConfigurationError', code: 'DATABASE_NOT_MIGRATED' })
})

test('a bare client is no transaction', async () => {
  await client.query('begin')

  // @ts-expect-error fromPg(client) says that it has begun one
  const publishing = backbone.publish(client, Counted({ key: 'lost', version: 1 }))

  await expect(publishing).rejects.toMatchObject({ code: 'TRANSACTION_NEEDED' })
})
