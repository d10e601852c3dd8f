import { describe, expect, test } from 'vitest'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { until, Witness } from '../../kit/wait.ts'
import { RelayBench } from './relay-bench.ts'

/** A relay behind a network that can fall silent, and whether it waits for an answer. */
async function behindProxy(proxy: PostgresProxy, bench: RelayBench, lease: '1s' | '1m') {
  const waiting = { acquire: 0, fetch: 0 }
  const counted = async <Result>(kind: keyof typeof waiting, answer: Promise<Result>): Promise<Result> => {
    waiting[kind]++
    return await answer.finally(() => waiting[kind]--)
  }
  const relay = bench.assembly(
    { lease },
    {
      outboxes: (real) =>
        aroundOutbox(real, (store) => ({
          acquire: (owner, leaseMs) => counted('acquire', store.acquire(owner, leaseMs)),
          fetchPending: (term, pass) => counted('fetch', store.fetchPending(term, pass)),
        })),
    },
    proxy.url,
  )
  return { relay, waiting }
}

describe('a database that answers no more', () => {
  test('does not keep an owner from stopping, however long its lease is', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await using proxy = await new PostgresProxy(bench.url).start()
    const { relay, waiting } = await behindProxy(proxy, bench, '1m')
    await relay.start({ run: ['relay'] })
    await until('a read', () => waiting.fetch > 0)

    proxy.blackHole()
    await until('a read without an answer', () => waiting.fetch > 0)
    const begun = performance.now()
    await relay.relay.stop()

    expect(performance.now() - begun).toBeLessThan(10_000)
  })

  test('does not keep a stand-by from stopping', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await using proxy = await new PostgresProxy(bench.url).start()
    const { relay, waiting } = await standingBy(proxy, bench)

    proxy.blackHole()
    await until('a question without an answer', () => waiting.acquire > 0)
    const begun = performance.now()
    await relay.relay.stop()

    expect(performance.now() - begun).toBeLessThan(5_000)
  })

  test('is noticed by a stand-by, which takes over by new connections', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await using proxy = await new PostgresProxy(bench.url).start()
    const { relay, first } = await standingBy(proxy, bench)
    const witness = new Witness(relay.diagnostics)

    proxy.blackHole()
    await witness.saw('relay.database_lost')
    proxy.pass()
    await first.stop()
    await bench.publish('t', 'a')
    await bench.relayed()

    expect(relay.relay.state).toBe('in office')
  })
})

async function standingBy(proxy: PostgresProxy, bench: RelayBench) {
  const first = bench.assembly()
  await first.start({ run: ['relay'] })
  await until('the first in office', () => first.relay.state === 'in office')
  const second = await behindProxy(proxy, bench, '1s')
  await second.relay.start({ run: ['relay'] })
  await until('the second standing by', () => second.relay.relay.state === 'standing by')
  return { ...second, first }
}

test('an owner that lost its connections is in office again at once, however long its lease is', async () => {
  const bench = await RelayBench.open({ t: 1 })
  await using proxy = await new PostgresProxy(bench.url).start()
  const { relay } = await behindProxy(proxy, bench, '1m')
  const witness = new Witness(relay.diagnostics)
  await relay.start({ run: ['relay'] })
  const { epoch } = await witness.saw('relay.term_started')

  proxy.cut()
  const next = await witness.saw('relay.term_started', () => true, 2, 10_000)

  expect(next.epoch).toBeGreaterThan(epoch)
})
