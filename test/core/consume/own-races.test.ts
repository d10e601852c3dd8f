import type { PoolClient } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { countedOn } from '../../kit/contracts.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const modes = [
  ['one batch', 'batch'],
  ['side by side', 'interleave'],
  ['transactions of their own', 'message'],
] as const

test.for(modes)('a day of the inbox that is opened while a claim waits makes it run again, in %s: nothing failed', async ([, mode]) => {
  const bench = await ConsumeBench.open()
  await bench.publish('a')
  const opening = await begun(bench, 'lock table trunkline.inbox_rest in access exclusive mode')
  // Put together by hand: it has nobody who opens days.
  const consumer = bench.assembly()
  const witness = new Witness(consumer.diagnostics)
  applyCounted(consumer, { topic: 't', mode, retry: { inline: 0, delays: [] } })
  await consumer.start({ run: ['consume'] })
  await until('a claim that waits', async () => (await bench.query(waitingSql)).length > 0)

  await opening.query(openTodaySql)
  await opening.query('commit')
  await bench.settled()

  expect(witness.all('batch.failed')).toMatchObject([{ reason: 'DATABASE_CONFLICT', next: 'conflict' }])
  expect(await bench.effects()).toEqual(['a1'])
  expect(await bench.parked()).toEqual([])
  expect(await bench.query('select tableoid::regclass::text as day from trunkline.inbox')).toEqual([
    { day: expect.stringMatching(/^trunkline\.inbox_\d{8}$/) },
  ])
})

async function begun(bench: ConsumeBench, statement: string): Promise<PoolClient> {
  const client = await bench.pool.connect()
  onTestFinished(() => client.release(true))
  await client.query('begin')
  await client.query(statement)
  return client
}

test.for(modes)(
  'a key that goes away between its lock and its message makes the batch run again, in %s: nothing failed twice',
  async ([, mode]) => {
    const bench = await ConsumeBench.open()
    await bench.publishAll([['a', 'poison'], 'b'])
    await bench.query('create sequence parkings')
    await bench.query(keyGoesAwaySql)
    const { backbone, witness } = bench.backbone()
    applyCounted(backbone, { topic: 't', mode, retry: { inline: 0, delays: [] } })
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(witness.all('batch.failed').map(({ reason }) => reason)).toContain('DATABASE_CONFLICT')
    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 1, reason_code: 'HANDLER_FAILED', keyed: true }])
    expect(await bench.effects()).toEqual(['b1'])
    expect(witness.count('consumer.interrupted')).toBe(0)
  },
)

test("a constraint of the service's own is a failure, whatever its table is called", async () => {
  const bench = await ConsumeBench.open()
  await bench.publish('a')
  await bench.query('create table orders (id text primary key)')
  await bench.query('create table parked_message (order_id text references orders (id))')
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(countedOn('t'), async (_, { tx }) => void (await tx.query(foreignSql)), { retry: { inline: 0, delays: [] } })
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 1, reason_code: 'HANDLER_FAILED', keyed: true }])
  expect(witness.all('batch.failed').map(({ next }) => next)).not.toContain('conflict')
})

const foreignSql = "insert into parked_message values ('unknown')"

const waitingSql = `
  select from pg_stat_activity
   where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into trunkline.inbox%'`

const openTodaySql = `
  select trunkline.open_inbox('inbox_' || to_char(day at time zone 'utc', 'YYYYMMDD'), ms, ms + 86400000)
    from (select date_trunc('day', now(), 'utc') as day, floor(extract(epoch from now()) / 86400)::bigint * 86400000 as ms) as today`

// The first time only, also when that is rolled back.
const keyGoesAwaySql = `
  create function key_goes_away() returns trigger language plpgsql as $$
  begin
    if nextval('parkings') = 1 then delete from trunkline.parked_key where key_hash = new.key_hash; end if;
    return new;
  end $$;
  create trigger key_goes_away before insert on trunkline.parked_message for each row execute function key_goes_away()`
