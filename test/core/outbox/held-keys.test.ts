import { describe, expect, test } from 'vitest'
import { heldKeysNotLoaded } from '../../kit/broken/held-keys-not-loaded.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench, repeat } from './relay-bench.ts'

/** Refuses every batch that holds one of these messages, as long as they are in the set. */
function refusing(...names: readonly string[]) {
  const refused = new Set(names)
  const scripted = faults((_, __, messages) => (messages.some((name) => refused.has(name)) ? 'refused record' : undefined))
  return { refused, ...scripted, sent: () => scripted.batches().flatMap(({ messages }) => messages) }
}

describe('a message that Kafka refuses', () => {
  test('holds its key; the others of its batch flow, the left half decided before the right', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'b', 'c', 'd', 'b', 'a', 'e', 'f')
    const scripted = refusing('b1')
    const relay = bench.assembly({}, scripted)

    await relay.start({ run: ['relay'] })
    await until('the others', async () => (await bench.waiting()) === 2)

    expect(scripted.batches().map(({ messages }) => messages.join())).toEqual([
      'a1,b1,c1,d1,b2,a2,e1,f1',
      'a1,b1,c1,d1',
      'a1,b1',
      'a1',
      'b1',
      'c1,d1',
      'a2,e1,f1',
    ])
    expect(await bench.messages('t')).toEqual([['a1', 'c1', 'd1', 'a2', 'e1', 'f1']])
    expect(await bench.query('select topic, key from trunkline.outbox_held_key')).toEqual([{ topic: 't', key: Buffer.from('b') }])
  })

  test('in a batch whose left half has an unknown fate: that half goes again before the right one', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'b', 'c', 'd')
    const scripted = faults((_, batch, messages) => {
      if (messages.includes('d1')) return 'refused record'
      return batch <= 3 ? 'lost reply' : undefined
    })
    const relay = bench.assembly({}, scripted)

    await relay.start({ run: ['relay'] })
    await until('the others', async () => (await bench.waiting()) === 1)

    expect(scripted.batches().map(({ messages }) => messages.join())).toEqual([
      'a1,b1,c1,d1',
      'a1,b1',
      'a1,b1',
      'a1,b1',
      'c1,d1',
      'c1',
      'd1',
    ])
  })

  test('a batch that is too large only as a whole is sent in parts, and nothing is held', async () => {
    const bench = await RelayBench.open({ t: 1 })
    for (const key of ['a', 'b', 'c']) await bench.publishLarge('t', key, 600_000)
    const relay = bench.assembly({ batchBytes: 16_777_216 })

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['a1', 'b1', 'c1']])
    expect(await bench.query('select from trunkline.outbox_held_key')).toEqual([])
  })

  test('without a key holds up nobody but itself', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'a', 'b')
    await bench.query('update trunkline.outbox set key = null')
    const relay = bench.assembly({}, refusing('a1'))

    await relay.start({ run: ['relay'] })
    await until('the others', async () => (await bench.waiting()) === 1)
    await bench.publish('t', 'b')
    await until('later ones', async () => (await bench.waiting()) === 1)

    expect(await bench.messages('t')).toEqual([['a2', 'b1', 'b2']])
  })

  test('later messages of its key wait, and nobody else does', async () => {
    const bench = await RelayBench.open({ t: 2 })
    const relay = bench.assembly({}, refusing('a1'))
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await until('the hold', async () => (await bench.query('select from trunkline.outbox_held_key')).length === 1)

    await bench.publish('t', ...repeat(['a', 'b', 'c'], 20))
    await until('the neighbours', async () => (await bench.waiting()) === 21)

    expect((await bench.messages('t')).flat().filter((name) => name.startsWith('a'))).toEqual([])
    expect((await bench.messages('t')).flat()).toHaveLength(40)
  })
})

describe('a held key', () => {
  test('is redriven in its order, and held again when it is refused again', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'a', 'b', 'a')
    const scripted = refusing('a1', 'a3')
    const relay = bench.assembly({}, scripted)
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.held')

    await bench.request('redrive')
    await witness.saw('relay.held', () => true, 2)
    scripted.refused.delete('a1')
    await bench.request('redrive')
    await witness.saw('relay.held', () => true, 3)
    scripted.refused.clear()
    await bench.request('redrive')
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['b1', 'a1', 'a2', 'a3']])
    expect(await bench.query('select from trunkline.outbox_held_key')).toEqual([])
    expect(await bench.violations('t')).toEqual([])
  })

  test('continues without its first message when that is discarded; the message is kept whole', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'a', 'a')
    const [before] = await bench.query('select id, topic, key, value, headers, created_at from trunkline.outbox order by seq')
    const relay = bench.assembly({}, refusing('a1'))
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.held')

    await bench.request('discard')
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['a2', 'a3']])
    expect(await bench.query('select id, topic, key, value, headers, created_at from trunkline.outbox_discarded')).toEqual([before])
  })

  test('stays held under a new owner, which answers the request that came in between', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'a', 'b')
    const former = bench.assembly({}, refusing('a1'))
    await former.start({ run: ['relay'] })
    await until('the hold', async () => (await bench.query('select from trunkline.outbox_held_key')).length === 1)
    await until('the neighbour', async () => (await bench.waiting()) === 2)
    await former.stop()

    const scripted = refusing()
    const next = bench.assembly({}, scripted)
    await next.start({ run: ['relay'] })
    await bench.publish('t', 'b', 'a')
    await until('the neighbour', async () => (await bench.waiting()) === 3)
    const sentWhileHeld = scripted.sent()
    await bench.request('redrive')
    await bench.relayed()

    expect(sentWhileHeld).toEqual(['b2'])
    expect(await bench.messages('t')).toEqual([['b1', 'b2', 'a1', 'a2', 'a3']])
  })

  test('a relay that does not load held keys sends them without being asked, and the test sees it', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'a', 'b')
    const former = bench.assembly({}, refusing('a1'))
    await former.start({ run: ['relay'] })
    await until('the neighbour', async () => (await bench.waiting()) === 2)
    await until('the hold', async () => (await bench.query('select from trunkline.outbox_held_key')).length === 1)
    await former.stop()

    const scripted = refusing()
    const next = bench.assembly({}, { ...scripted, outboxes: heldKeysNotLoaded })
    await next.start({ run: ['relay'] })
    await bench.relayed()

    expect(scripted.sent()).toEqual(['a1', 'a2'])
  })

  test.each(['redrive', 'discard'] as const)('flows in order when its owner dies in the middle of the %s', async (act) => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', ...repeat(['a'], 8), 'b')
    const scripted = refusing('a1')
    const gate = Promise.withResolvers<void>()
    const dying = bench.assembly(
      { batchSize: 2, lease: '1s' },
      {
        producer: (real) => {
          const faulty = scripted.producer(real)
          return {
            start: (signal) => faulty.start(signal),
            stop: (deadlineMs) => faulty.stop(deadlineMs),
            append: async (target, records) => {
              // Two messages of the key are in the log, the next ones never arrive.
              if (scripted.refused.size === 0 && scripted.sent().includes('a2')) await gate.promise
              return await faulty.append(target, records)
            },
          }
        },
      },
    )
    const witness = new Witness(dying.diagnostics)
    await dying.start({ run: ['relay'] })
    await witness.saw('relay.held')
    scripted.refused.clear()
    await bench.request(act)
    await witness.saw('relay.released')
    await until('the middle', () => scripted.sent().includes('a2'))

    const leaving = dying.relay.stop()
    const next = bench.assembly({ batchSize: 3 })
    await next.start({ run: ['relay'] })
    await bench.relayed()
    gate.resolve()
    await leaving

    const [messages = []] = await bench.messages('t')
    expect(witness.count('relay.term_ended')).toBe(1)
    // Sent again, a message may come twice; what counts is when it comes first.
    expect([...new Set(messages)]).toEqual(['b1', ...(act === 'redrive' ? ['a1'] : []), 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8'])
    expect(await bench.query('select topic from trunkline.outbox_discarded')).toHaveLength(act === 'redrive' ? 0 : 1)
  })

  test('does not lose a message of its key that was committed late, below the one that is held', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const scripted = refusing('a2')
    const relay = bench.assembly({}, scripted)
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    const late = await bench.pool.connect()
    await late.query('begin')
    await late.query(bench.insertSql('t', 'a', 1))
    await bench.query(bench.insertSql('t', 'a', 2))
    await witness.saw('relay.held')

    await late.query('commit')
    late.release()
    await bench.publish('t', 'b')
    await until('the neighbour', async () => (await bench.messages('t'))[0]?.includes('b1'))
    scripted.refused.clear()
    await bench.request('redrive')
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['b1', 'a1', 'a2']])
  })
})

describe('too many held keys', () => {
  test('make their topic wait and be tried again; its neighbours flow, and it heals by itself', async () => {
    const bench = await RelayBench.open({ bad: 1, good: 1 })
    const refusal = { now: true }
    const scripted = faults(({ topic }) => (topic === 'bad' && refusal.now ? 'refused record' : undefined))
    const relay = bench.assembly({ heldKeysMax: 2, retryMax: '100ms' }, scripted)
    const witness = new Witness(relay.diagnostics)
    await bench.publish('bad', 'a', 'b', 'c', 'd', 'c')
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.refused', ({ scope }) => scope === 'topic', 2)

    await bench.publish('good', 'a')
    await until('the neighbour', async () => (await bench.messages('good'))[0]?.length === 1)
    refusal.now = false
    await until('the rest of the topic', async () => (await bench.messages('bad'))[0]?.length === 3)

    expect(witness.count('relay.held')).toBe(2)
    expect(await bench.messages('bad')).toEqual([['c1', 'd1', 'c2']])
    expect(await bench.query("select subject, details ->> 'code' as code from trunkline.incident where kind = 'topic_refused'")).toEqual([
      { subject: 'bad', code: 'TOO_MANY_HELD_KEYS' },
    ])
  })
})
