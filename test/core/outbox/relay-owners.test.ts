import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench, repeat } from './relay-bench.ts'

describe('owners', () => {
  test('a lost connection ends the term; the next one goes on and nothing is lost', async () => {
    const bench = await RelayBench.open({ t: 2 })
    await using proxy = await new PostgresProxy(bench.url).start()
    const relay = bench.assembly({ batchSize: 2 }, {}, proxy.url)
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', ...repeat(['a', 'b', 'c'], 10))
    await witness.saw('relay.acked')

    proxy.cut()
    await bench.publish('t', ...repeat(['a', 'b', 'c'], 10))
    await bench.relayed()

    expect(witness.count('relay.term_started')).toBeGreaterThan(1)
    expect(await bench.violations('t')).toEqual([])
  })

  test('a network that swallows everything ends the term; work goes on when it is back', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await using proxy = await new PostgresProxy(bench.url).start()
    const relay = bench.assembly({}, {}, proxy.url)
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.term_started')

    proxy.blackHole()
    await bench.publish('t', 'a')
    await witness.saw('relay.term_ended', () => true, 1, 15_000)
    const other = bench.assembly()
    await other.start({ run: ['relay'] })
    await bench.relayed()
    proxy.pass()

    expect(await bench.violations('t')).toEqual([])
  })

  test('a second relay stands by and takes over when the first one is gone', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const [first, second] = [bench.assembly(), bench.assembly()]
    await first.start({ run: ['relay'] })
    const firstWitness = new Witness(first.diagnostics)
    await until('the first in office', () => first.relay.state === 'in office')
    await second.start({ run: ['relay'] })
    await until('the second standing by', () => second.relay.state === 'standing by')
    await bench.publish('t', 'a')
    await bench.relayed()

    await first.stop()
    await bench.publish('t', 'a')
    await bench.relayed()

    expect(second.relay.state).toBe('in office')
    expect(firstWitness.all('relay.term_ended')).toMatchObject([{ reason: 'stopped' }])
    expect(await bench.messages('t')).toEqual([['a1', 'a2']])
  })

  test('a stand-by asks again when the lease ends that it was told of, and seldom before', async () => {
    const bench = await RelayBench.open()
    const atMs: number[] = []
    const told = [1_500, 50]
    const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
      aroundOutbox(real, (store) => ({
        hears: async () => true,
        acquire: async (owner, leaseMs) => {
          // By then it knows that it hears.
          if (told.length === 2) await store.hears()
          atMs.push(performance.now())
          const heldForMs = told.shift()
          return heldForMs === undefined ? await store.acquire(owner, leaseMs) : { term: undefined, heldForMs }
        },
      }))
    const relay = bench.assembly({ lease: '1m' }, { outboxes })
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    await witness.saw('relay.term_started')
    const [first = 0, second = 0, third = 0, ...more] = atMs

    expect(second - first).toBeGreaterThan(1_490)
    // Where it is not told, it would ask once a second.
    expect(third - second).toBeLessThan(1_000)
    expect(more).toEqual([])
  })

  test('a table that is missing is told as one that a person must make, and the relay goes on when it is there', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a')
    await bench.query('alter table trunkline.outbox_lease rename to lease_elsewhere')
    const relay = bench.assembly()
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    const told = await witness.saw('relay.misconfigured')
    const state = relay.relay.state
    await bench.query('alter table trunkline.lease_elsewhere rename to outbox_lease')
    await bench.relayed()

    expect(told.reason).toMatch(/lacks a table of Trunkline .*outbox_lease.*npx trunkline migrate/)
    expect(state).toBe('misconfigured')
    expect(relay.relay.ready).toBe(true)
  })

  test('an owner whose lease was taken sends no new batch and removes nothing', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const gate = Promise.withResolvers<void>()
    await bench.publish('t', 'a', 'b', 'c')
    const former = bench.assembly(
      { batchSize: 1, lease: '1m' },
      faults((_, batch) => (batch === 2 ? gate.promise : undefined)),
    )
    const witness = new Witness(former.diagnostics)
    await former.start({ run: ['relay'] })
    await witness.saw('relay.sending', () => true, 2)
    await witness.saw('relay.removed')

    await bench.query(
      "update trunkline.outbox_lease set owner = 'somebody else', epoch = epoch + 1, expires_at = now() + interval '1 minute'",
    )
    gate.resolve()
    await witness.saw('relay.term_ended')

    expect(witness.all('relay.term_ended')).toMatchObject([{ reason: 'another owner took the lease' }])
    // What was acknowledged too late is still in the table: the new owner sends it again.
    expect(await bench.waiting()).toBe(2)
  })

  test('counts its time in office from before a renewal left: an answer that took long does not lengthen it', async () => {
    const bench = await RelayBench.open({ t: 1 })
    let renewals = 0
    const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
      aroundOutbox(real, (store) => ({
        // The second one leaves after 1.27 s, and the first one was good until 1.33 s, or until 1.93 s if its answer counted.
        renew: async (...given) => {
          renewals++
          const answer = await store.renew(...given)
          await pause(renewals === 1 ? 600 : 250)
          return answer
        },
      }))
    const relay = bench.assembly({ lease: '1s' }, { outboxes })
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    const { reason } = await witness.saw('relay.term_ended')

    expect(reason).toBe('the lease could not be renewed in time')
  })

  test('a producer that never answers does not keep the relay from stopping', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a')
    const relay = bench.assembly(
      {},
      faults(() => new Promise(() => undefined)),
    )
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.sending')

    await relay.relay.stop()

    expect(relay.relay.state).toBe('stopped')
    expect(await bench.waiting()).toBe(1)
  })

  test('numbers that run backwards end the term: of a database that was restored beneath it nothing is known', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly()
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', ...repeat(['a'], 5))
    await bench.relayed()
    await until('the mark', async () => Number((await bench.query('select floor from trunkline.outbox_lease'))[0]?.['floor']) >= 5)

    await bench.query("select setval('trunkline.outbox_seq_seq', 1)")
    await bench.publish('t', 'b')
    await bench.relayed()

    expect(witness.count('relay.overlooked')).toBe(0)
    expect(await bench.messages('t')).toEqual([['a1', 'a2', 'a3', 'a4', 'a5', 'b1']])
  })
})
