import { describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/foundation/clock.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { until, Witness } from '../../kit/wait.ts'
import { RelayBench } from './relay-bench.ts'

const leaseUntil = 'select expires_at > $1::timestamptz as reached, clock_timestamp() as now from trunkline.outbox_lease'

describe('reads that take long', () => {
  test('do not cost the owner its office: while the table is locked for three leases, it is renewed', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly({ lease: '1s' })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.relayed()

    const operator = await bench.pool.connect()
    await operator.query('begin')
    await operator.query('lock table trunkline.outbox in access exclusive mode')
    const [before] = await bench.query(leaseUntil, ['infinity'])
    const threeLeasesLater = new Date(Number(before?.['now']) + 3_000)
    await until('three leases', async () => (await bench.query(leaseUntil, [threeLeasesLater]))[0]?.['reached'] === true)
    const endedMeanwhile = witness.all('relay.term_ended')
    await operator.query('rollback')
    operator.release()
    await bench.publish('t', 'a')
    await bench.relayed()

    expect(endedMeanwhile).toEqual([])
    expect(await bench.messages('t')).toEqual([['a1', 'a2']])
  })

  test('get through a stretch of numbers that is too long for one of them, in shorter steps', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a')
    await bench.query("select setval('trunkline.outbox_seq_seq', 2000000)")
    await bench.publish('t', 'a')
    // As where a row was deleted for each of these numbers, and none of them is vacuumed.
    const slow = new TransientError('STATEMENT_TOO_SLOW', 'the read took too long')
    let givenUp = 0
    const relay = bench.assembly(
      {},
      {
        outboxes: (real) =>
          aroundOutbox(real, (store) => ({
            fetchPending: async (term, pass) => {
              if (pass.upTo - pass.after <= 30_000n) return await store.fetchPending(term, pass)
              givenUp++
              throw slow
            },
          })),
      },
    )
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(givenUp).toBeGreaterThan(0)
    expect(witness.count('relay.term_started')).toBe(1)
    expect(await bench.messages('t')).toEqual([['a1', 'a2']])
  })
})

describe('a step of the sweep that takes too long', () => {
  test('is followed by an eighth of it, and what was overlooked is found all the same', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const steps: { readonly numbers: bigint; readonly upTo: bigint }[] = []
    const relay = bench.assembly(
      { lease: '5m' },
      {
        clock: fiftyTimesAsFast,
        outboxes: (real) =>
          aroundOutbox(real, (store) => ({
            fetchPending: async (term, pass) => {
              if (pass.limit > 1) return await store.fetchPending(term, pass)
              const numbers = pass.upTo - pass.after
              steps.push({ numbers, upTo: pass.upTo })
              // As where a row was deleted for each of these numbers, and none of them is vacuumed.
              if (numbers > 300_000n) throw new TransientError('STATEMENT_TOO_SLOW', 'the step took too long')
              return await store.fetchPending(term, pass)
            },
          })),
      },
    )
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.query("select setval('trunkline.outbox_seq_seq', 2000000)")
    await bench.publish('t', 'a')
    await bench.relayed()
    await until('a sweep of it', () => steps.some(({ upTo }) => upTo > 2_000_000n))

    await bench.query(insertBelowTheMark(bench, 'z'))
    await witness.saw('relay.overlooked')
    await bench.relayed()
    const swept = steps.length
    await until('a sweep that finds nothing', () => steps.length > swept + 1)
    await bench.query(insertBelowTheMark(bench, 'y'))
    await witness.saw('relay.overlooked', () => true, 2)
    await bench.relayed()
    await witness.saw('incident.recorded', ({ kind }) => kind === 'row_overlooked', 2)

    const given = steps.findIndex(({ numbers }) => numbers > 300_000n)
    expect(steps[given]?.numbers).toBeGreaterThan(2_000_000n)
    expect(steps[given + 1]?.numbers).toBe((steps[given]?.numbers ?? 0n) / 8n)
    expect(witness.count('relay.term_ended')).toBe(0)
    expect((await bench.messages('t'))[0]).toEqual(['a1', 'a2', 'z1', 'y1'])
    expect(witness.count('incident.recorded', ({ kind }) => kind === 'row_overlooked')).toBe(2)
  })
})

/** No transaction of ours does that: a row with a number that was given long ago. */
function insertBelowTheMark(bench: RelayBench, key: string): string {
  return bench.insertSql('t', key, 1).replace('(bucket,', '(seq, bucket,').replace('values (', 'overriding system value values (100000, ')
}

/** The sweep comes every ten seconds. */
const fiftyTimesAsFast: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
}
