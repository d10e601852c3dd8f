import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { migrate } from '../../../src/adapters/postgres/migrate.ts'
import { PostgresOutboxStoreFactory } from '../../../src/adapters/postgres/outbox-store.ts'
import { relayGrants, rolesScript, runtimeGrants } from '../../../src/adapters/postgres/roles.ts'
import { createBackbone, MemoryLog } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { until, Witness } from '../../kit/wait.ts'

const suffix = randomBytes(4).toString('hex')
/** Names that must be quoted. */
const names = { owner: `Own-er ${suffix}`, runtime: `run'time ${suffix}`, relay: `re"lay ${suffix}` }

let superuser: Client
let url: string

beforeAll(async () => {
  ;({ url } = await createTestDatabase())
  superuser = new Client({ connectionString: url })
  await superuser.connect()
  await superuser.query('create table public.private_note (text text)')
  // Twice: an operator runs it again after each migration.
  await superuser.query(rolesScript(names))
  await superuser.query(rolesScript(names))
  for (const name of Object.values(names)) await superuser.query(`alter role ${superuser.escapeIdentifier(name)} login password 'secret'`)
})

afterAll(async () => {
  const roles = Object.values(names).map((name) => superuser.escapeIdentifier(name))
  for (const role of roles) {
    await superuser.query(`reassign owned by ${role} to current_user`)
    await superuser.query(`drop owned by ${role} cascade`)
    await superuser.query(`drop role ${role}`)
  }
  await superuser.end()
})

function urlOf(role: keyof typeof names): string {
  const as = new URL(url)
  as.username = encodeURIComponent(names[role])
  as.password = 'secret'
  return as.href
}

async function connected(role: keyof typeof names): Promise<Client> {
  const client = new Client({ connectionString: urlOf(role) })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

const Counted = countedOn('orders')

test('a service works with the rights of the runtime, the relay with its own, and messages arrive', { timeout: 60_000 }, async () => {
  const log = new MemoryLog()
  const common = { service: 'shop', kafka: { driver: 'memory', log }, logger: false } as const
  const service = createBackbone({ ...common, database: { connectionString: urlOf('runtime') } })
  const relay = createBackbone({ ...common, database: { connectionString: urlOf('relay') }, outbox: { archive: '7d' } })
  onTestFinished(() => service.stop())
  onTestFinished(() => relay.stop())
  const witness = new Witness(service.diagnostics)
  service.subscribe(
    Counted,
    async (order) => {
      if (order.data.note === 'fail') throw new Error('no')
    },
    { retry: { inline: 1, delays: [] } },
  )

  await service.start({ run: ['consume', 'timers'] })
  await relay.start({ run: ['relay'] })
  await service.transaction(async (tx) => {
    await service.publish(tx, [Counted({ key: 'good', version: 1 }), Counted({ key: 'bad', version: 1, note: 'fail' })])
    await service.publish(tx, Counted({ key: 'later', version: 1 }), { notBefore: new Date(Date.now() + 200) })
  })
  await witness.saw('delivery.applied', () => true, 2)
  await until(
    'a dead letter',
    async () => (await superuser.query("select from trunkline.parked_message where state = 'dead'")).rowCount === 1,
  )

  await until('a partition of the inbox', async () => {
    const { rows } = await superuser.query("select count(*)::int as days from pg_inherits where inhparent = 'trunkline.inbox'::regclass")
    return rows[0]?.days > 1
  })
  await until('an empty outbox', async () => (await superuser.query('select from trunkline.outbox')).rowCount === 0)
  expect((await superuser.query('select from trunkline.outbox_archive')).rowCount).toBe(3)
  expect((await superuser.query("select from trunkline.incident where kind = 'archive_untended'")).rowCount).toBe(0)
})

test('a relay may look for news with its own rights, and ask for the lease', async () => {
  const events = { onLost: () => undefined, onCalled: () => undefined, onVacant: () => undefined }
  const store = await new PostgresOutboxStoreFactory({ connectionString: urlOf('relay') }).open(events)
  onTestFinished(() => store.close())

  const { term } = await until('the lease', async () => {
    const acquired = await store.acquire('one', 1_000)
    return acquired.term !== undefined && acquired
  })

  expect(await store.look(term ?? { owner: '', epoch: 0n }, 1_000)).toMatchObject({ dueInMs: undefined })
})

test('the owner migrates, and an operator acts as it', async () => {
  const report = await migrate(urlOf('owner'))
  const owner = await connected('owner')

  expect(report.applied).toEqual([])
  await owner.query('create table trunkline.later (id int)')
  await owner.query("update trunkline.outbox_held_key set request = 'redrive', requested_at = now()")
  // Tables of the next migration are the runtime's too, without anybody's help.
  const { rows } = await superuser.query("select has_table_privilege($1, 'trunkline.later', 'select, insert, update, delete') as may", [
    names.runtime,
  ])
  await owner.query('drop table trunkline.later')
  expect(rows).toEqual([{ may: true }])
})

test('each role has what the table says, in every table, and nothing else', async () => {
  const { rows } = await superuser.query<{ name: string }>(
    "select relname as name from pg_class where relnamespace = 'trunkline'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1",
  )
  const all = ['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']
  const wanted: Record<string, string> = {}
  const found: Record<string, string> = {}
  for (const role of ['runtime', 'relay'] as const) {
    for (const { name } of rows) {
      const standard = role === 'runtime' ? 'select, insert, update, delete' : ''
      wanted[`${role} ${name}`] = (role === 'runtime' ? runtimeGrants[name] : relayGrants[name]) ?? standard
      const granted = await superuser.query<{ right: string }>(
        'select r as right from unnest($3::text[]) as r where has_table_privilege($1, $2, r)',
        [names[role], `trunkline.${superuser.escapeIdentifier(name)}`, all],
      )
      found[`${role} ${name}`] = granted.rows.map(({ right }) => right).join(', ')
    }
  }

  expect(found).toEqual(wanted)
})

test.each([
  ['runtime', 'delete from trunkline.outbox'],
  ['runtime', 'update trunkline.outbox_lease set owner = null'],
  ['runtime', "update trunkline.outbox_held_key set request = 'discard'"],
  ['runtime', 'delete from trunkline.incident'],
  ['runtime', 'select from trunkline.audit'],
  ['runtime', "insert into trunkline.migration values (99, 'x', 'x')"],
  ['runtime', 'create table trunkline.mine (id int)'],
  ['runtime', 'drop table trunkline.inbox'],
  ['runtime', "select trunkline.tend_outbox_archive('0 days')"],
  ['relay', "select trunkline.close_inbox('inbox_20260101', interval '1 day', 1)"],
  ['relay', 'select from trunkline.inbox'],
  ['relay', 'select from trunkline.parked_message'],
  ['relay', 'update trunkline.consumer_position set next_offset = 0'],
  ['relay', 'select from public.private_note'],
  ['relay', 'drop table trunkline.outbox_archive'],
  ['owner', 'select from public.private_note'],
] as const)('the %s may not: %s', async (role, sql) => {
  const client = await connected(role)

  await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' })
})

test('an archive that the relay may not write is told in words, with what to do; with the right it goes on', {
  timeout: 60_000,
}, async () => {
  const relayName = superuser.escapeIdentifier(names.relay)
  const log = new MemoryLog()
  await log.driver().admin.createTopics([{ name: 'archived', partitions: 1, replicationFactor: 1 }])
  const backbone = createBackbone({
    service: 'shop',
    kafka: { driver: 'memory', log },
    logger: false,
    database: { connectionString: urlOf('relay') },
    outbox: { archive: '7d' },
  })
  onTestFinished(() => backbone.stop())
  const witness = new Witness(backbone.diagnostics)
  await superuser.query(`revoke insert on trunkline.outbox_archive from ${relayName}`)
  await superuser.query(
    "insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers) values (0, 0, 'archived', gen_random_uuid(), 'a', '', '')",
  )
  await backbone.start({ run: ['relay'] })
  const told = await witness.saw('relay.misconfigured')
  const { parts } = await backbone.health()

  await superuser.query(`grant insert on trunkline.outbox_archive to ${relayName}`)
  await until('an empty outbox', async () => (await superuser.query('select from trunkline.outbox')).rowCount === 0)

  expect(told.reason).toMatch(/may not do this \(permission denied for table outbox_archive\).*trunkline migrate roles/)
  expect(parts['relay']).toEqual({ ready: false, state: 'misconfigured' })
  expect(witness.count('relay.database_lost')).toBe(0)
})
