import { randomUUID } from 'node:crypto'
import { chownSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { type Backbone, createBackbone, MemoryLog } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { smallDisk } from '../../kit/small-disk.ts'
import { until, Witness } from '../../kit/wait.ts'
import { insert, openDatabase, withTable } from './open-database.ts'

const Counted = countedOn('orders')

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

function shopAt(connectionString: string): Backbone {
  const backbone = createBackbone({
    service: 'shop',
    kafka: { driver: 'memory', log: new MemoryLog() },
    database: { connectionString },
    logger: false,
  })
  onTestFinished(() => backbone.stop())
  return backbone
}

test('a database that can only be read is a transient error, and keeps nothing', async () => {
  const { url, numbers } = await withTable()
  const client = await connected(url)
  const name = client.escapeIdentifier(new URL(url).pathname.slice(1))
  // As after a failover: new sessions find a server that takes no writes.
  await client.query(`alter database ${name} set default_transaction_read_only = on`)
  const { database } = await openDatabase({ url })

  const refused = database.transaction((tx) => tx.query(insert, [1]))

  await expect(refused).rejects.toMatchObject({ name: 'TransientError', code: 'DATABASE_UNAVAILABLE' })
  expect(await numbers()).toEqual([])
})

test('a full disk is a transient error; with room again everything goes on, and nothing is half kept', { timeout: 60_000 }, async ({
  skip,
}) => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  const disk = await smallTablespace(client)
  if (disk === undefined) return skip('a small file system cannot be mounted here, or the server runs elsewhere')
  await client.query(`alter table trunkline.outbox set tablespace ${disk.tablespace}`)
  const backbone = shopAt(url)
  const publish = (key: string) =>
    backbone.transaction((tx) =>
      backbone.publish(tx, [Counted({ key, version: 1, note: 'x'.repeat(8_000) }), Counted({ key, version: 2 })]),
    )

  await publish('before')
  await disk.fill()
  let refused: unknown
  for (let n = 0; n < 500 && refused === undefined; n++) await publish('full').catch((error: unknown) => (refused = error))
  await disk.empty()
  await publish('after')

  expect(refused).toMatchObject({ name: 'TransientError', code: 'DATABASE_UNAVAILABLE', message: expect.stringMatching(/space/) })
  const { rows } = await client.query("select convert_from(key, 'utf8') as key, count(*)::int % 2 as odd from trunkline.outbox group by 1")
  expect(rows.map((row) => row['odd'])).toEqual(rows.map(() => 0))
  expect(rows.map((row) => row['key'])).toEqual(expect.arrayContaining(['before', 'after']))
  await client.query('alter table trunkline.outbox set tablespace pg_default')
  await client.query(`drop tablespace ${disk.tablespace}`)
})

test('a full disk keeps nobody from taking away what Kafka has', { timeout: 60_000 }, async ({ skip }) => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  const disk = await smallTablespace(client)
  if (disk === undefined) return skip('a small file system cannot be mounted here, or the server runs elsewhere')
  await client.query(`alter table trunkline.outbox set tablespace ${disk.tablespace}`)
  const backbone = shopAt(url)
  backbone.subscribe(Counted, async () => undefined)
  const witness = new Witness(backbone.diagnostics)
  const messages = Array.from({ length: 50 }, (_, version) => Counted({ key: 'a', version, note: 'x'.repeat(8_000) }))
  await backbone.transaction((tx) => backbone.publish(tx, messages))

  await disk.fill()
  await backbone.start({ run: ['relay', 'consume'] })
  await until('an empty outbox', async () => (await client.query('select from trunkline.outbox')).rowCount === 0)
  await witness.saw('delivery.applied', () => true, 50)

  expect(witness.all('relay.acked').reduce((sum, { messages }) => sum + messages, 0)).toBe(50)
  expect(witness.count('relay.term_ended')).toBe(0)
  await client.query('alter table trunkline.outbox set tablespace pg_default')
  await disk.empty()
  await client.query(`drop tablespace ${disk.tablespace}`)
})

test('a disk too full for the archive stops no sending and repeats nothing: what Kafka has waits until there is room', {
  timeout: 60_000,
}, async ({ skip }) => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  const disk = await smallTablespace(client)
  if (disk === undefined) return skip('a small file system cannot be mounted here, or the server runs elsewhere')
  await client.query("select trunkline.tend_outbox_archive('7 days')")
  const { rows: days } = await client.query(
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'trunkline.outbox_archive'::regclass",
  )
  for (const { name } of days) await client.query(`alter table ${name} set tablespace ${disk.tablespace}`)
  const archive = '7d'
  const options = {
    service: 'shop',
    kafka: { driver: 'memory' },
    database: { connectionString: url },
    outbox: { archive },
    logger: false,
  } as const
  const backbone = createBackbone({ ...options, relay: { report: '100ms' } })
  onTestFinished(() => backbone.stop())
  backbone.subscribe(Counted, async () => undefined)
  const witness = new Witness(backbone.diagnostics)
  const count = async (table: string): Promise<number> => (await client.query(`select from trunkline.${table}`)).rowCount ?? 0
  await backbone.transaction((tx) => backbone.publish(tx, [Counted({ key: 'a', version: 1 }), Counted({ key: 'a', version: 2 })]))

  await disk.fill()
  await backbone.start()
  await witness.saw('relay.no_room', () => true, 3)
  const waiting = await count('outbox')
  await backbone.transaction((tx) => backbone.publish(tx, Counted({ key: 'a', version: 3 })))
  await witness.saw('delivery.applied', () => true, 3)
  await disk.empty()
  await until('an empty outbox', async () => (await count('outbox')) === 0)

  expect(waiting).toBe(2)
  expect(await count('outbox_archive')).toBe(3)
  expect(witness.all('relay.acked').reduce((sum, { messages }) => sum + messages, 0)).toBe(3)
  expect(witness.count('relay.term_ended')).toBe(0)
  for (const { name } of days) await client.query(`alter table ${name} set tablespace pg_default`)
  await client.query(`drop tablespace ${disk.tablespace}`)
})

/** A tablespace on a file system of 4 MB; `undefined` where such a thing cannot be made. */
async function smallTablespace(client: Client) {
  const place = smallFolder(String((await client.query('show data_directory')).rows[0]?.data_directory))
  if (place === undefined) return undefined
  const tablespace = client.escapeIdentifier(`full_${randomUUID()}`)
  await client.query(`create tablespace ${tablespace} location '${place}'`)
  await client.query(`create table filler (bytes bytea) tablespace ${tablespace}`)
  const fillSql = "insert into filler select decode(repeat('00', 1900), 'hex') from generate_series(1, 100000)"
  return {
    tablespace,
    fill: () => client.query(fillSql).catch(() => undefined),
    empty: () => client.query('drop table filler'),
  }
}

/** @returns a folder of the server's on a file system of 4 MB */
function smallFolder(dataDirectory: string): string | undefined {
  const disk = smallDisk(4)
  if (disk === undefined) return undefined
  const place = join(disk, `space-${process.pid}`)
  try {
    const { uid, gid } = statSync(dataDirectory)
    mkdirSync(place)
    for (const path of [disk, place]) chownSync(path, uid, gid)
    return place
  } catch {
    return undefined
  }
}

test('rows of a restored dump, whose transaction numbers the new server has not reached, are sent in their order', async () => {
  const { url } = await createTestDatabase()
  const client = await connected(url)
  const backbone = shopAt(url)
  const handled: string[] = []
  backbone.subscribe(Counted, async (order) => {
    handled.push(`${order.data.key} ${order.data.version}`)
  })
  await backbone.transaction((tx) => backbone.publish(tx, [Counted({ key: 'k', version: 1 }), Counted({ key: 'k', version: 2 })]))
  await client.query("update trunkline.outbox set xid = '9000000000000'")

  await backbone.start()
  await backbone.transaction((tx) => backbone.publish(tx, Counted({ key: 'k', version: 3 })))
  await until('three messages', () => handled.length === 3)

  expect(handled).toEqual(['k 1', 'k 2', 'k 3'])
  await until('an empty outbox', async () => (await client.query('select from trunkline.outbox')).rowCount === 0)
})

test('two services that share an outbox both find their messages sent, whoever is in office', async () => {
  const { url } = await createTestDatabase()
  const log = new MemoryLog()
  const common = { kafka: { driver: 'memory', log }, database: { connectionString: url }, logger: false } as const
  const shop = createBackbone({ ...common, service: 'shop' })
  const stock = createBackbone({ ...common, service: 'stock' })
  onTestFinished(() => shop.stop())
  onTestFinished(() => stock.stop())
  const Other = countedOn('others', 'test.Other')
  const heard: string[] = []
  shop.subscribe(Other, async (message) => void heard.push(`shop heard ${message.data.key}`))
  stock.subscribe(Counted, async (message) => void heard.push(`stock heard ${message.data.key}`))
  await shop.start()
  await stock.start()

  await shop.transaction((tx) => shop.publish(tx, Counted({ key: 'a', version: 1 })))
  await stock.transaction((tx) => stock.publish(tx, Other({ key: 'b', version: 1 })))
  await until('both', () => heard.length === 2)

  expect(heard.toSorted()).toEqual(['shop heard b', 'stock heard a'])
})

test('a transaction of another backbone is no place for a message', async () => {
  const [here, elsewhere] = [shopAt((await createTestDatabase()).url), shopAt((await createTestDatabase()).url)]

  const publishing = elsewhere.transaction((tx) => here.publish(tx, Counted({ key: 'lost', version: 1 })))

  await expect(publishing).rejects.toMatchObject({ name: 'PermanentError', code: 'TRANSACTION_NEEDED' })
})
