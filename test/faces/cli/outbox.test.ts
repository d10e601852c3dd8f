import { Client } from 'pg'
import { beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { type Backbone, createBackbone, fromPg } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { createKafkaTopic } from '../../kit/kafka-topics.ts'
import { until } from '../../kit/wait.ts'
import { Run, trunkline } from './run.ts'

let url: string
let client: Client
let backbone: Backbone

beforeEach(async () => {
  ;({ url } = await createTestDatabase())
  client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database: { connectionString: url }, logger: false })
  onTestFinished(() => backbone.stop())
})

const Counted = countedOn('orders')

async function publish(...keys: string[]): Promise<void> {
  await backbone.transaction((tx) =>
    backbone.publish(
      tx,
      keys.map((key) => Counted({ key, version: 1 })),
    ),
  )
}

/** As the relay does it when Kafka refuses the first message of a key. */
async function hold(key: string): Promise<string> {
  const { rows } = await client.query<{ head_id: string }>(
    `insert into trunkline.outbox_held_key (topic, key, head_seq, head_id, reason_code, reason)
     select topic, key, seq, id, 'MESSAGE_TOO_LARGE', 'The broker takes 1 MiB.'
       from trunkline.outbox where convert_from(key, 'utf8') = $1 order by seq limit 1 returning head_id`,
    [key],
  )
  return rows[0]?.head_id ?? ''
}

async function requests(): Promise<unknown[]> {
  return (await client.query("select convert_from(key, 'utf8') as key, request from trunkline.outbox_held_key order by id")).rows
}

const at = (): Record<string, string> => ({ DATABASE_URL: url })

test('status of an empty outbox says so, and that nobody is in office', async () => {
  const { code, stdout } = await trunkline(['outbox', 'status'], at())

  expect(code).toBe(0)
  expect(stdout).toMatch(/pending +nothing/)
  expect(stdout).toMatch(/relay +NOBODY is in office/)
})

test('status counts by topic, lists held keys with their cause, and names who keeps a transaction open', async () => {
  await publish('a', 'b', 'b')
  await hold('b')
  await client.query('begin')
  await client.query('create table mine ()')

  const { code, stdout, stderr } = await trunkline(['outbox', 'status'], at())
  const json = JSON.parse((await trunkline(['outbox', 'status', '--json'], at())).stdout)

  expect(code).toBe(0)
  expect(stdout).toMatch(/orders +3 /)
  expect(stdout).toMatch(/^b +orders +.* 2 +[0-9a-f-]{36} +MESSAGE_TOO_LARGE: The broker takes 1 MiB\./m)
  expect(stderr).toContain('No relay is in office')
  expect(json).toMatchObject({ pending: 3, pendingAtLeast: false, held: [{ key: 'b', waiting: 2, request: null }], owner: null })
  expect(json.writers.map(({ state }: { state: string }) => state)).toContain('idle in transaction')
})

test('status says why a topic waits as a whole, as long as that lasts', async () => {
  const incident = `insert into trunkline.incident (kind, subject, service, message, details, at)
    values ('topic_missing', 'orders', 'shop', $1, '{}', trunkline.now() + $2::interval)`
  await publish('held', 'a')
  await hold('held')
  // The held message is older than a trouble that is over.
  await client.query("update trunkline.outbox set created_at = created_at - interval '1 hour' where convert_from(key, 'utf8') = 'held'")
  await client.query(incident, ['It was missing.', '-10 minutes'])

  const over = JSON.parse((await trunkline(['outbox', 'status', '--json'], at())).stdout)
  await client.query(incident, ['Topic "orders" does not exist. Create\u001b[2J it.', '0'])
  const lasting = await trunkline(['outbox', 'status'], at())

  expect(over.topics).toMatchObject([{ topic: 'orders', trouble: null }])
  expect(lasting.stdout).toMatch(/^Topic "orders" does not exist\. Create·\[2J it\.$/m)
})

test('status says where to look when a relay is in office, nothing is held, and the oldest is old all the same', async () => {
  await publish('a')
  await client.query("update trunkline.outbox_lease set owner = gen_random_uuid(), expires_at = trunkline.now() + interval '1 minute'")

  const young = await trunkline(['outbox', 'status'], at())
  await client.query("update trunkline.outbox set created_at = created_at - interval '1 minute'")
  const old = await trunkline(['outbox', 'status'], at())

  expect(young.stderr).toBe('')
  expect(old.stderr).toContain('If this does not become less, Kafka does not answer the relay')
})

test('redrive asks the relay, and the audit names who, what and why', async () => {
  await publish('a', 'b', 'b')
  await hold('a')
  const head = await hold('b')

  const { code, stderr } = await trunkline(['outbox', 'redrive', '--key', 'b', '--yes', '--reason', 'the limit was raised'], at())

  expect(code).toBe(0)
  expect(stderr).toContain('No relay is in office: it is done as soon as one runs.')
  expect(await requests()).toEqual([
    { key: 'a', request: null },
    { key: 'b', request: 'redrive' },
  ])
  const { rows } = await client.query('select act, subject, reason, details from trunkline.audit')
  expect(rows).toEqual([
    {
      act: 'outbox redrive',
      subject: 'outbox orders',
      reason: 'the limit was raised',
      details: { messageId: head, reasonCode: 'MESSAGE_TOO_LARGE', waiting: 2 },
    },
  ])
})

test('redrive of more keys than one transaction takes asks for all of them, and says how far it is', { timeout: 60_000 }, async () => {
  await client.query(
    `insert into trunkline.outbox_held_key (topic, key, head_seq, head_id, reason_code, reason)
     select 'orders', number::text::bytea, number, gen_random_uuid(), 'MESSAGE_TOO_LARGE', 'too large' from generate_series(1, 2345) as number`,
  )

  const dry = await trunkline(['outbox', 'redrive', '--all', '--dry-run'], at())
  const { code, stdout, stderr } = await trunkline(['outbox', 'redrive', '--all', '--yes', '--reason', 'mended', '--json'], at())

  expect(dry.stderr).toContain('These are the first 1000 of 2345 held keys.')
  expect(dry.stderr).toContain('of 2345 held keys again: not done')
  expect(code).toBe(0)
  expect(stderr).toContain('2000 of 2345 keys …')
  expect(stderr).toContain('Asked for 2345 keys')
  expect(JSON.parse(stdout)).toMatchObject({ count: 2345, requested: { length: 2345 } })
  const { rows } = await client.query("select count(*)::int as asked from trunkline.outbox_held_key where request = 'redrive'")
  expect(rows).toEqual([{ asked: 2345 }])
  expect((await client.query('select from trunkline.audit')).rowCount).toBe(2345)
})

test('a dry run and a missing consent change nothing, and say what would be done', async () => {
  await publish('b', 'b')
  await hold('b')

  const dry = await trunkline(['outbox', 'discard', '--topic', 'orders', '--dry-run'], at())
  const silent = await trunkline(['outbox', 'discard', '--topic', 'orders'], at())

  expect(dry).toMatchObject({ code: 0, stderr: expect.stringContaining('Discard 1 refused message, and send what waits behind: not done') })
  expect(silent).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes and --reason') })
  expect(await requests()).toEqual([{ key: 'b', request: null }])
  expect((await client.query('select from trunkline.audit')).rowCount).toBe(0)
})

test('nothing is selected by accident', async () => {
  const nothing = await trunkline(['outbox', 'discard', '--yes', '--reason', 'x'], at())
  const both = await trunkline(['outbox', 'discard', '--all', '--topic', 'orders', '--yes', '--reason', 'x'], at())
  const noId = await trunkline(['outbox', 'discard', '--message', "'; drop table orders", '--yes', '--reason', 'x'], at())

  const noArchive = await trunkline(['outbox', 'redrive', '--from', '2026-03-01', '--yes', '--reason', 'x'], at())
  const allArchive = await trunkline(
    ['outbox', 'redrive', '--from-archive', '--from', '2026-03-01', '--all', '--yes', '--reason', 'x'],
    at(),
  )
  const backwards = ['outbox', 'redrive', '--from-archive', '--from', '2026-03-02', '--to', '2026-03-01', '--yes', '--reason', 'x']
  const empty = await trunkline(backwards, at())

  for (const refused of [nothing, both, noId, noArchive, allArchive, empty]) expect(refused.code).toBe(2)
  expect(noArchive.stderr).toContain('add --from-archive')
  expect(empty.stderr).toContain('--to must be later than --from')
  expect(nothing.stderr).toContain('Say which held keys are meant')
})

test('wait-empty tells held keys from what is on its way', async () => {
  await publish('a')
  await hold('a')

  const held = await trunkline(['outbox', 'wait-empty', '--json'], at())
  await publish('b')
  const stuck = await trunkline(['outbox', 'wait-empty', '--timeout', '300ms', '--json'], at())
  await client.query('truncate trunkline.outbox, trunkline.outbox_held_key')
  const empty = await trunkline(['outbox', 'wait-empty', '--json'], at())

  expect([held.code, stuck.code, empty.code]).toEqual([3, 3, 0])
  expect([held, stuck, empty].map(({ stdout }) => JSON.parse(stdout))).toEqual([
    { empty: false, sendable: 0, held: 1 },
    { empty: false, sendable: 1, held: 1 },
    { empty: true, sendable: 0, held: 0 },
  ])
})

test('a relay of its own empties the outbox, and hands over at once when it is told to stop', { timeout: 60_000 }, async () => {
  const topic = `${inject('runPrefix')}relay-alone`
  await createKafkaTopic(inject('brokers'), topic, 1)
  const OnTopic = countedOn(topic)
  await client.query('begin')
  await backbone.publish(fromPg(client), OnTopic({ key: 'a', version: 1 }))
  await client.query('commit')
  const environment = { ...at(), KAFKA_BROKERS: inject('brokers').join(','), LOG_LEVEL: 'silent' }

  const relay = new Run(['relay'], environment)
  await until('an empty outbox', async () => (await client.query('select from trunkline.outbox')).rowCount === 0)
  const waited = await trunkline(['outbox', 'wait-empty'], at())
  relay.process.kill('SIGTERM')
  const { code } = await relay.end()

  expect(waited.code).toBe(0)
  expect(code).toBe(0)
  expect((await client.query('select owner from trunkline.outbox_lease')).rows).toEqual([{ owner: null }])
})
