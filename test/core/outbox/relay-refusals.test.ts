import { describe, expect, test } from 'vitest'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench } from './relay-bench.ts'

const told = 'select kind, subject from trunkline.incident'
const takeIncidentsAway = 'alter table trunkline.incident rename to incident_away'
const bringIncidentsBack = 'alter table trunkline.incident_away rename to incident'

describe('an incident of the relay', () => {
  test('tells once of a topic that may not be written, whatever the number of its partitions', async () => {
    const bench = await RelayBench.open({ bad: 4, good: 1 })
    const refusing = { now: true }
    const relay = bench.assembly(
      { retryMax: '100ms' },
      faults(({ topic }) => (topic === 'bad' && refusing.now ? 'refused topic' : undefined)),
    )
    const witness = new Witness(relay.diagnostics)
    await bench.publish('bad', 'a', 'b', 'c', 'd', 'e', 'f')
    await bench.publish('good', 'a')
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.refused', ({ topic, partition }) => topic === 'bad' && partition >= 0, 8)

    await until('the neighbour', async () => (await bench.messages('good'))[0]?.length === 1)
    refusing.now = false
    await bench.relayed()

    expect(await bench.query(told)).toEqual([{ kind: 'topic_refused', subject: 'bad' }])
    expect(await bench.violations('bad', 'good')).toEqual([])
  })

  test('of a refused message is recorded later when it could not be at first', async () => {
    const bench = await RelayBench.open({ bad: 1 })
    const relay = bench.assembly(
      {},
      faults(() => 'refused record'),
    )
    const witness = new Witness(relay.diagnostics)
    await bench.publish('bad', 'a')
    const [row] = await bench.query('select id from trunkline.outbox')
    await bench.query(takeIncidentsAway)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.held')

    await bench.query(bringIncidentsBack)
    await witness.saw('incident.recorded')

    expect(await bench.query(told)).toEqual([{ kind: 'message_refused', subject: `bad ${String(row?.['id'])}` }])
  })

  test('of a missing topic is recorded later when it could not be at first', async () => {
    const bench = await RelayBench.open()
    const relay = bench.assembly({ retryMax: '100ms' })
    const witness = new Witness(relay.diagnostics)
    await bench.publish('missing', 'a')
    await bench.query(takeIncidentsAway)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.refused', () => true, 2)

    await bench.query(bringIncidentsBack)
    await witness.saw('incident.recorded')

    expect(await bench.query(told)).toEqual([{ kind: 'topic_missing', subject: 'missing' }])
  })
})

describe('what cannot be sent', () => {
  test('a row with corrupt headers holds its key, and nobody else; repaired and asked for, it flows in its place', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'b', 'b', 'c')
    const [row] = await bench.query('select id, headers from trunkline.outbox order by seq offset 1')
    await bench.query("update trunkline.outbox set headers = '\\xffffffffffff' where id = $1", [row?.['id']])
    const relay = bench.assembly()
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    await until('the neighbours', async () => (await bench.waiting()) === 2)
    const [held] = await bench.query('select head_id as id, reason_code from trunkline.outbox_held_key')
    await bench.query('update trunkline.outbox set headers = $2 where id = $1', [row?.['id'], row?.['headers']])
    await bench.request('redrive')
    await bench.relayed()

    expect(held).toEqual({ id: row?.['id'], reason_code: 'HEADERS_CORRUPT' })
    expect(await bench.messages('t')).toEqual([['a1', 'c1', 'b1', 'b2']])
    expect(witness.count('relay.term_started')).toBe(1)
  })

  test('a request for a key waits until the lane has let go of the key: a later row in its queue would go first', async () => {
    const bench = await RelayBench.open({ t: 1, other: 1 })
    const gate = Promise.withResolvers<void>()
    await bench.publish('t', 'a', 'b', 'a')
    const refused = new Set<string>()
    const relay = bench.assembly(
      { batchSize: 1 },
      faults(({ topic }, _, [message]) => {
        if (message === 'b1') return gate.promise
        return message?.endsWith('1') === true && refused.size < 2 && refused.add(topic).has(topic) ? 'refused record' : undefined
      }),
    )
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.held')
    await bench.publish('other', 'c')
    await witness.saw('relay.held', () => true, 2)

    await bench.request('redrive')
    await witness.saw('relay.released', ({ topic }) => topic === 'other')
    gate.resolve()
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['b1', 'a1', 'a2']])
    expect(await bench.messages('other')).toEqual([['c1']])
  })

  test('a producer that fails in a way of its own ends the term, and the next one goes on', async () => {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a', 'b')
    const relay = bench.assembly(
      { batchSize: 1 },
      faults((_, batch) => {
        if (batch === 1) throw new Error('a bug of the driver')
        return undefined
      }),
    )
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(witness.all('relay.term_ended')).toMatchObject([{ reason: 'a bug of the driver' }])
    expect(await bench.messages('t')).toEqual([['a1', 'b1']])
  })
})

test('messages in memory are limited in bytes too', async () => {
  const bench = await RelayBench.open({ t: 1 })
  const gate = Promise.withResolvers<void>()
  for (let index = 0; index < 12; index++) await bench.publishLarge('t', `k${index}`, 250_000)
  const relay = bench.assembly(
    { inFlightBytes: 1_048_576 },
    faults((_, batch) => (batch === 1 ? gate.promise : undefined)),
  )
  const witness = new Witness(relay.diagnostics)
  await relay.start({ run: ['relay'] })
  await witness.saw('relay.sending')

  const first = witness.all('relay.pass').at(-1)
  gate.resolve()
  await bench.relayed()

  expect(first).toEqual({ rows: 5, inFlight: 5 })
  expect(witness.all('relay.pass').every(({ inFlight }) => inFlight <= 5)).toBe(true)
  expect((await bench.messages('t'))[0]).toHaveLength(12)
})

test('a message that is due and has no room holds up neither the archive nor what else an owner looks after, and is sent when there is room', async () => {
  const bench = await RelayBench.open({ t: 1 })
  const full = { now: true }
  const tended = Promise.withResolvers<void>()
  let refused = 0
  const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
    aroundOutbox(real, (store) => ({
      moveDue: async (term, limit) => {
        if (!full.now) return await store.moveDue(term, limit)
        refused++
        throw new TransientError('DATABASE_FULL', 'No space left on device')
      },
      tendArchive: async () => tended.resolve(),
    }))
  const relay = bench.assembly({}, { outboxes })
  const witness = new Witness(relay.diagnostics)
  await relay.start({ run: ['relay'] })

  await tended.promise
  await witness.saw('relay.no_room', () => true, 2)
  full.now = false
  const message = countedOn('t')({ key: 'due', version: 1 })
  await relay.transaction((tx) => relay.database.publisher.publish(tx, [{ message, notBefore: new Date(Date.now() + 300) }]))
  await until('the message', async () => (await bench.messages('t'))[0]?.includes('due1'))

  expect(refused).toBeGreaterThan(1)
  expect(witness.count('relay.term_ended')).toBe(0)
})

test('a disk too full for a held key, for what is discarded or due costs the owner no office, and holds up nobody else', async () => {
  const bench = await RelayBench.open({ t: 1 })
  const full = { now: true }
  const refused = new Set<string>()
  const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
    aroundOutbox(real, (store) => {
      const refuse = (what: string): void => {
        if (!full.now) return
        refused.add(what)
        throw new TransientError('DATABASE_FULL', 'No space left on device')
      }
      return {
        hold: async (term, hold) => {
          refuse('hold')
          return await store.hold(term, hold)
        },
        unhold: async (term, hold, act) => {
          refuse('unhold')
          return await store.unhold(term, hold, act)
        },
        moveDue: async (term, limit) => {
          refuse('due')
          return await store.moveDue(term, limit)
        },
      }
    })
  const refusing = faults((_, __, messages) => (messages.includes('a1') ? 'refused record' : undefined))
  const relay = bench.assembly({}, { ...refusing, outboxes })
  const witness = new Witness(relay.diagnostics)
  await bench.publish('t', 'a', 'a', 'b')

  await relay.start({ run: ['relay'] })
  await until('the neighbour', async () => (await bench.messages('t'))[0]?.includes('b1'))
  await until('both', () => refused.has('hold') && refused.has('due'))
  full.now = false
  await witness.saw('relay.held')
  full.now = true
  await bench.request('discard')
  await until('a discard', () => refused.has('unhold'))
  await bench.publish('t', 'b')
  await until('the neighbour', async () => (await bench.messages('t'))[0]?.includes('b2'))
  full.now = false
  await bench.relayed()

  expect(await bench.messages('t')).toEqual([['b1', 'b2', 'a2']])
  expect(witness.count('relay.term_ended')).toBe(0)
})
