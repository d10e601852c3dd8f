import { Client } from 'pg'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { type Backbone, createBackbone, MemoryLog } from '../../../src/index.ts'
import { trunkline } from '../../faces/cli/run.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { until } from '../../kit/wait.ts'

const Counted = countedOn('orders')

let url: string
let client: Client

beforeEach(async () => {
  ;({ url } = await createTestDatabase())
  client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
})

async function query(text: string): Promise<Record<string, unknown>[]> {
  return (await client.query(text)).rows
}

/** A service with one group that notes what it handles. */
async function shop(options: { archive?: '7d' }): Promise<{ backbone: Backbone; handled: string[] }> {
  const handled: string[] = []
  const backbone = createBackbone({
    service: 'shop',
    kafka: { driver: 'memory', log: new MemoryLog() },
    database: { connectionString: url },
    outbox: options,
    logger: false,
  })
  onTestFinished(() => backbone.stop())
  backbone.subscribe(Counted, async (order) => {
    handled.push(order.data.key)
  })
  await backbone.start()
  return { backbone, handled }
}

async function publish(backbone: Backbone, ...keys: string[]): Promise<void> {
  const messages = keys.map((key) => Counted({ key, version: 1 }))
  await backbone.transaction((tx) => backbone.publish(tx, messages))
  await until('an empty outbox', async () => (await query('select from trunkline.outbox')).length === 0)
}

/** Calls it as if so much time had passed. */
async function tendAfter(shift: string, keep = '7 days'): Promise<unknown> {
  await client.query(`set trunkline.shift = '${shift}'`)
  const [row] = await query(`select trunkline.tend_outbox_archive(interval '${keep}') as dropped`)
  await client.query('reset trunkline.shift')
  return row?.['dropped']
}

const partitionsSql = `
  select child.relname as name from pg_inherits join pg_class as child on child.oid = inhrelid
   where inhparent = 'trunkline.outbox_archive'::regclass order by 1`

test('without the option what Kafka acknowledged is gone', async () => {
  const { backbone } = await shop({})

  await publish(backbone, 'a')

  expect(await query('select from trunkline.outbox_archive')).toEqual([])
})

test('with it every acknowledged message is kept whole, in the partition of its day', async () => {
  const { backbone } = await shop({ archive: '7d' })
  const days = await until('partitions', async () => {
    const rows = await query(partitionsSql)
    return rows.length === 4 && rows
  })

  await publish(backbone, 'a', 'b')

  const rows = await query(
    "select convert_from(key, 'utf8') as key, tableoid::regclass::text as place from trunkline.outbox_archive order by seq",
  )
  const today = `trunkline.${String(days[0]?.['name'])}`
  expect(rows).toEqual([
    { key: 'a', place: today },
    { key: 'b', place: today },
  ])
})

test('whole days are dropped when they ended longer ago than is kept, and days to come are made', async () => {
  await tendAfter('0 days')
  const before = await query(partitionsSql)

  const dropped = await tendAfter('9 days')

  const after = await query(partitionsSql)
  expect(before).toHaveLength(4)
  expect(dropped).toBe(2)
  expect(after).toHaveLength(5)
  expect(after.map(({ name }) => name)).toContain(before[2]?.['name'])
})

test('what came before its day had a partition is moved into it', async () => {
  await client.query(`
    insert into trunkline.outbox_archive (seq, bucket, key_hash, topic, id, headers, created_at)
    values (1, 0, 0, 'orders', gen_random_uuid(), '', now())`)

  await tendAfter('0 days')

  const [row] = await query('select tableoid::regclass::text as place from trunkline.outbox_archive')
  expect(row?.['place']).toMatch(/^trunkline\.outbox_archive_\d{8}$/)
})

test('a range is sent again with the same ids: who has handled them skips them, who has not catches up', { timeout: 60_000 }, async () => {
  const { backbone, handled } = await shop({ archive: '7d' })
  await publish(backbone, 'a', 'b')
  await until('both handled', () => handled.length === 2)
  // A group that lost its effects: a new reader, or a table that was dropped by mistake.
  await client.query("delete from trunkline.inbox where consumer_group = 'shop'")
  const environment = { DATABASE_URL: url }

  const asked = ['outbox', 'redrive', '--from-archive', '--from', '2020-01-01T00:00:00Z']
  const dry = await trunkline([...asked, '--dry-run'], environment)
  const done = await trunkline([...asked, '--topic', 'orders', '--yes', '--reason', 'effects were lost', '--json'], environment)
  await until('both handled again', () => handled.length === 4)
  const again = await trunkline([...asked, '--yes', '--reason', 'once more', '--json'], environment)
  await until('an empty outbox', async () => (await query('select from trunkline.outbox')).length === 0)

  expect(dry.stdout).toMatch(/orders +2 /)
  expect(JSON.parse(done.stdout)).toMatchObject({ sent: 2, selected: [{ topic: 'orders', messages: 2 }] })
  expect(handled).toEqual(['a', 'b', 'a', 'b'])
  expect(JSON.parse(again.stdout)).toMatchObject({ sent: 4 })
  expect(await query('select act, reason from trunkline.audit order by seq')).toEqual([
    { act: 'outbox redrive --from-archive', reason: 'effects were lost' },
    { act: 'outbox redrive --from-archive', reason: 'once more' },
  ])
})

test('the archive is asked for a range or a message, never for everything by accident', async () => {
  const nothing = await trunkline(['outbox', 'redrive', '--from-archive', '--yes', '--reason', 'x'], { DATABASE_URL: url })
  const noTime = await trunkline(['outbox', 'redrive', '--from-archive', '--from', 'yesterday'], { DATABASE_URL: url })

  expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('--from <time>') })
  expect(noTime).toMatchObject({ code: 2, stderr: expect.stringContaining('2026-03-01T12:00:00Z') })
})
