import { Pool, type PoolClient } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createBackbone } from '../../../src/index.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

test('a pool that the rest of the service has used up makes partitions and retries wait, and nothing counts as failed', async () => {
  const bench = await ConsumeBench.open(2)
  const pool = new Pool({ connectionString: bench.url, max: 4, connectionTimeoutMillis: 200 })
  pool.on('error', () => undefined)
  onTestFinished(() => pool.end())
  const backbone = createBackbone({
    service: 'judge',
    kafka: { driver: 'memory', log: bench.log },
    database: { pool },
    heartbeat: '1m',
    logger: false,
  })
  onTestFinished(() => backbone.stop())
  const witness = new Witness(backbone.diagnostics)
  applyCounted(backbone, { topic: 't', retry: { inline: 0, delays: [] } })
  await backbone.start({ run: ['consume'] })
  await bench.publishAll(['a', 'b'])
  await bench.settled()
  await bench.park('c')
  const taken: PoolClient[] = []
  await until('the whole pool', async () => {
    taken.push(await pool.connect())
    return taken.length === 4
  })

  await bench.publishAll(['a', 'b', 'a', 'b'])
  await witness.saw('consumer.interrupted', () => true, 2)
  await witness.saw('retry.interrupted', () => true, 2)
  const meanwhile = await bench.effects()
  for (const client of taken) client.release()
  await bench.settled()

  expect(meanwhile).toHaveLength(2)
  expect((await bench.effects()).toSorted()).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'c1'])
  expect(witness.count('delivery.failed')).toBe(0)
  expect(await bench.parked()).toEqual([])
})

test('a disk that is full makes partitions and retries wait, nothing counts as failed, and both go on when there is room', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'b'])
  await bench.park('c')
  await bench.query(fullDiskSql)
  const { backbone, witness } = bench.backbone()
  applyCounted(backbone, { topic: 't', retry: { inline: 0, delays: [] } })
  await backbone.start({ run: ['consume'] })

  await witness.saw('consumer.interrupted', () => true, 2)
  await witness.saw('retry.interrupted')
  const meanwhile = await bench.query('select attempts from trunkline.parked_message')
  await bench.query('drop trigger full_disk on effect')
  // A key that met it is looked at again a few seconds later.
  await bench.query('update trunkline.parked_key set due = now()')
  await bench.settled()
  await until('no parked key', async () => (await bench.parked()).length === 0)

  expect(meanwhile).toEqual([{ attempts: 1 }])
  expect((await bench.effects()).toSorted()).toEqual(['a1', 'b1', 'c1'])
  expect(witness.count('delivery.failed')).toBe(0)
})

const fullDiskSql = `
  create function full_disk() returns trigger language plpgsql as $$
  begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
  create trigger full_disk before insert on effect for each row execute function full_disk()`
