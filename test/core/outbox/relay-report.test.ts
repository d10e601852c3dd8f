import { expect, test } from 'vitest'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench, repeat } from './relay-bench.ts'

test('the owner says what it sent since its last report, and that nothing waits', async () => {
  const bench = await RelayBench.open({ t: 1 })
  const relay = bench.assembly({ report: '100ms' })
  const witness = new Witness(relay.diagnostics)
  await bench.publish('t', ...repeat(['a', 'b'], 5))

  await relay.start({ run: ['relay'] })
  await bench.relayed()
  const idle = await witness.saw('relay.backlog', ({ pending, messages }) => pending === 0 && messages === 0)

  const all = witness.all('relay.backlog')
  expect(all.reduce((sum, { messages }) => sum + messages, 0)).toBe(10)
  expect(all.find(({ messages }) => messages > 0)).toMatchObject({ p50Ms: expect.any(Number), p99Ms: expect.any(Number) })
  expect(idle).toMatchObject({ pendingAtLeast: false, oldestMs: undefined, heldKeys: 0, batches: 0, p50Ms: undefined, epoch: 1n })
})

test('the owner says what waits, how old it is, that a key is held, and whose transaction holds the mark back', async () => {
  const bench = await RelayBench.open({ t: 1 })
  const relay = bench.assembly(
    { report: '100ms' },
    faults((_, __, messages) => (messages.includes('a1') ? 'refused record' : undefined)),
  )
  const witness = new Witness(relay.diagnostics)
  const open = await bench.pool.connect()
  await open.query("set application_name = 'forgotten console'")
  const backend: number = (await open.query('select pg_backend_pid() as pid')).rows[0]?.pid
  await open.query('begin')
  await open.query(bench.insertSql('t', 'late', 1))
  await bench.publish('t', 'a', 'a', 'b')

  await relay.start({ run: ['relay'] })
  // Other tests have transactions on the same server, and the oldest of all is told: it is ours when theirs are over.
  const told = await witness.saw(
    'relay.backlog',
    ({ pending, heldKeys, heldBackBy }) => pending === 2 && heldKeys === 1 && heldBackBy?.pid === backend,
  )
  await open.query('rollback')
  open.release(true)

  expect(told).toMatchObject({ pendingAtLeast: false, oldestMs: expect.any(Number), scheduled: expect.any(Number) })
  expect(told.markLag).toBeGreaterThan(0n)
  expect(told.heldBackBy).toMatchObject({ application: 'forgotten console' })
  expect(told.heldBackBy?.openMs).toBeGreaterThanOrEqual(250)
})

test('a backlog beyond ten thousand is not counted further, and one that cannot be counted in time is told as unknown', async () => {
  const bench = await RelayBench.open({ t: 1 })
  await bench.query(
    `insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
     select 0, 0, 'missing', gen_random_uuid(), number::text::bytea, '', '' from generate_series(1, 10001) as number`,
  )
  const relay = bench.assembly({ report: '100ms', retryMax: '10m' })
  const witness = new Witness(relay.diagnostics)
  await relay.start({ run: ['relay'] })
  const many = await witness.saw('relay.backlog', ({ pendingAtLeast }) => pendingAtLeast)

  const operator = await bench.pool.connect()
  await operator.query('begin')
  await operator.query('lock table trunkline.outbox in access exclusive mode')
  const unknown = await witness.saw('relay.backlog', ({ pending }) => pending === undefined)
  await operator.query('rollback')
  operator.release()

  expect(many.pending).toBe(10_000)
  expect(unknown).toMatchObject({ pendingAtLeast: true, oldestMs: undefined, deadRows: undefined })
})

test('an owner that cannot count what waits stays in office, and says what else it knows', async () => {
  const bench = await RelayBench.open({ t: 1 })
  const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
    aroundOutbox(real, () => ({ readBacklog: () => Promise.reject(new Error('permission denied for view pg_stat_activity')) }))
  const relay = bench.assembly({ report: '100ms' }, { outboxes })
  const witness = new Witness(relay.diagnostics)
  await bench.publish('t', 'a')

  await relay.start({ run: ['relay'] })
  const told = await witness.saw('relay.backlog', ({ messages }) => messages === 1)

  expect(told).toMatchObject({ pending: undefined, oldestMs: undefined, epoch: 1n })
  expect(witness.count('relay.term_ended')).toBe(0)
})
