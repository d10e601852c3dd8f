import { describe, expect, test } from 'vitest'
import { cursorBySequence } from '../../kit/broken/cursor-by-sequence.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench, repeat } from './relay-bench.ts'

describe('order', () => {
  test('holds per key over many batches and passes', async () => {
    const bench = await RelayBench.open({ t: 3 })
    await bench.publish('t', ...repeat(['a', 'b', 'c', 'd'], 25))
    const relay = bench.assembly({ passSize: 7, batchSize: 3 })

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(await bench.violations('t')).toEqual([])
  })

  test('holds when lanes are full and rows stay in the table', async () => {
    const bench = await RelayBench.open({ t: 2 })
    await bench.publish('t', ...repeat(['a', 'b', 'c'], 40))
    const relay = bench.assembly({ passSize: 50, laneSize: 4, batchSize: 2, inFlightMax: 20 })

    await relay.start({ run: ['relay'] })
    await bench.publish('t', ...repeat(['a', 'b', 'c'], 10))
    await bench.relayed()

    expect(await bench.violations('t')).toEqual([])
  })

  test('holds when a transaction commits later than one that took a higher number', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly()
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'z')
    await bench.relayed()

    await overtakingCommit(bench)

    expect(await bench.violations('t')).toEqual([])
    expect(witness.count('relay.term_started')).toBe(1)
  })

  test('a relay with a cursor by sequence number loses that transaction, and the judge sees it', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly({}, { outboxes: cursorBySequence })
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'z')
    await bench.relayed()

    await overtakingCommit(bench, 1)

    expect(await bench.violations('t')).toEqual(['lost: committed and not in the log: late#1'])
  })
})

/** A transaction takes its number and is held up in its COMMIT; another one commits after it and is relayed; then the first commits. */
async function overtakingCommit(bench: RelayBench, leftInTable = 0): Promise<void> {
  await bench.query(holdUpSql)
  const holder = await bench.pool.connect()
  await holder.query('select pg_advisory_lock(7)')
  const late = bench.publish('t', 'late')
  await until(
    'the late COMMIT',
    async () => (await bench.query("select from pg_locks where locktype = 'advisory' and not granted")).length === 1,
  )
  await bench.publish('t', 'early')
  await until('the later transaction in the log', async () => (await bench.messages('t'))[0]?.includes('early1'))
  await holder.query('select pg_advisory_unlock(7)')
  holder.release()
  await late
  // The broken relay leaves the row for ever; another message behind it proves that it had its turn.
  await bench.publish('t', 'after')
  await until(
    'the outbox to settle',
    async () => (await bench.waiting()) === leftInTable && (await bench.messages('t'))[0]?.includes('after1'),
  )
}

const holdUpSql = `
  create function wait_for_lock() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(7); return null; end $$;
  create constraint trigger hold_up after insert on committed deferrable initially deferred
    for each row when (new.key = 'late') execute function wait_for_lock()`

describe('an unknown outcome', () => {
  test('sends the same batch again before anything else of its partition', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'b', 'c', 'd', 'e')
    const scripted = faults((_, batch) => (batch === 1 || batch === 2 ? 'lost reply' : undefined))
    const relay = bench.assembly({ batchSize: 2 }, scripted)

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(
      scripted
        .batches()
        .slice(0, 4)
        .map(({ keys }) => keys.join()),
    ).toEqual(['a,b', 'a,b', 'a,b', 'c,d'])
    expect((await bench.messages('t'))[0]?.slice(0, 7)).toEqual(['a1', 'b1', 'a1', 'b1', 'a1', 'b1', 'c1'])
    expect(await bench.violations('t')).toEqual([])
  })

  test('loses nothing when the request itself was lost', async () => {
    const bench = await RelayBench.open({ t: 2 })
    await bench.publish('t', ...repeat(['a', 'b', 'c'], 5))
    const relay = bench.assembly(
      { batchSize: 2 },
      faults((_, batch) => (batch % 2 === 1 && batch < 10 ? 'lost request' : undefined)),
    )

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(await bench.violations('t')).toEqual([])
  })
})

describe('what Kafka refuses', () => {
  test('a cluster that cannot be reached is waited for, in order', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'a', 'a')
    const relay = bench.assembly(
      { batchSize: 1 },
      faults((_, batch) => (batch <= 3 ? 'refused cluster' : undefined)),
    )

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['a1', 'a2', 'a3']])
    expect(await bench.query('select from trunkline.incident')).toEqual([])
  })
})

test('what Kafka has is taken away in batches of at most 5,000 messages', async () => {
  const bench = await RelayBench.open({ t: 4 })
  await bench.query(`
    insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
    select 0, number, 't', gen_random_uuid(), number::text::bytea, '', '' from generate_series(1, 12000) as number`)
  const relay = bench.assembly({ passSize: 10_000, laneSize: 100_000, inFlightMax: 100_000, batchSize: 10_000 })
  const witness = new Witness(relay.diagnostics)

  await relay.start({ run: ['relay'] })
  await bench.relayed()

  const batches = witness.all('relay.removing').map(({ messages }) => messages)
  expect(batches.reduce((sum, messages) => sum + messages, 0)).toBe(12_000)
  expect(Math.max(...batches)).toBeLessThanOrEqual(5_000)
})
