import { describe, expect, test } from 'vitest'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench, repeat } from './relay-bench.ts'

/** Rows have hardly room, so that the memory of each is soon another's. */
const tight = { passSize: 8, batchSize: 4, laneSize: 8, inFlightMax: 16 }
const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

/** The real store; it counts rows that were read and not released. */
function counted() {
  const rows = { read: 0, live: 0, most: 0 }
  const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
    aroundOutbox(real, (store) => ({
      fetchPending: async (term, pass) => {
        const result = await store.fetchPending(term, pass)
        for (const row of result?.rows ?? []) {
          rows.read++
          rows.live++
          const release = row.release.bind(row)
          let isLive = true
          Object.assign(row, {
            release: () => {
              if (isLive) rows.live--
              isLive = false
              release()
            },
          })
        }
        rows.most = Math.max(rows.most, rows.live)
        return result
      },
    }))
  return { rows, outboxes }
}

describe('rows whose memory is used again', () => {
  test('keep every byte through lost replies, lost requests, a refused row and its held key', async () => {
    const bench = await RelayBench.open({ t: 2 })
    const refusing = { now: true }
    const { rows, outboxes } = counted()
    const relay = bench.assembly(tight, {
      outboxes,
      ...faults((_, batch, messages) => {
        if (refusing.now && messages.includes('b2')) return 'refused record'
        if (batch % 5 === 1) return 'lost reply'
        return batch % 7 === 2 ? 'lost request' : undefined
      }),
    })
    const witness = new Witness(relay.diagnostics)
    await bench.publish('t', ...repeat(keys, 12))
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.held')
    // What comes now lies where the refused row and its neighbours lay.
    await bench.publish('t', ...repeat(keys, 12))
    await until('all but the held key', async () => (await bench.waiting()) === 23)
    const held = await bench.query('select topic, key from trunkline.outbox_held_key')

    refusing.now = false
    await bench.request('redrive')
    await bench.relayed()

    expect(held).toEqual([{ topic: 't', key: Buffer.from('b') }])
    expect(await bench.violations('t')).toEqual([])
    expect(witness.count('relay.term_started')).toBe(1)
    expect(rows.read).toBeGreaterThan(12 * 2 * keys.length)
  })

  test('are all released: what was sent, what a full lane left in the table, and what of a pass was thrown away', async () => {
    const bench = await RelayBench.open({ t: 1, slow: 1 })
    const gate = Promise.withResolvers<void>()
    const { rows, outboxes } = counted()
    const relay = bench.assembly(
      { ...tight, laneSize: 4 },
      { outboxes, ...faults(({ topic }, batch) => (topic === 'slow' && batch === 1 ? gate.promise : undefined)) },
    )
    await bench.publish('slow', ...repeat(['x', 'y'], 14))
    await bench.publish('t', ...repeat(keys, 8))

    await relay.start({ run: ['relay'] })
    await until('the neighbour', async () => (await bench.messages('t'))[0]?.length === 8 * keys.length)
    gate.resolve()
    await bench.relayed()
    await until('no row in flight', () => rows.live === 0)

    // What may be in flight, and a pass that was read and not handed out yet.
    expect(rows.most).toBeLessThanOrEqual(tight.inFlightMax + tight.passSize)
    expect(await bench.violations('t', 'slow')).toEqual([])
  })
})
