import { describe, expect, test } from 'vitest'
import { MemoryAdmin } from '../../../src/adapters/memory/memory-admin.ts'
import { MemoryCluster } from '../../../src/adapters/memory/memory-cluster.ts'
import { MemoryProducer } from '../../../src/adapters/memory/memory-producer.ts'
import type { BackboneDiagnostics } from '../../../src/core/diagnostics.ts'
import { Episodes } from '../../../src/core/outbox/episodes.ts'
import { HeldKeys } from '../../../src/core/outbox/held-keys.ts'
import { InFlight } from '../../../src/core/outbox/in-flight.ts'
import { Lanes } from '../../../src/core/outbox/lanes.ts'
import type { PendingRow } from '../../../src/core/outbox/outbox-store.ts'
import { TopicRoutes } from '../../../src/core/outbox/topic-routes.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { until } from '../../kit/wait.ts'
import { FaultyProducer } from './faulty-producer.ts'

function row(seq: bigint): PendingRow {
  const bytes = { key: Buffer.from('k'), value: Buffer.from('v'), headers: [], size: 66, release: () => undefined }
  return { seq, topic: 't', id: `id ${seq}`, keyHash: 0, timestampMs: 0, ...bytes }
}

/** The lanes of one topic with one partition, whose batches are one message; the first waits for `gate`. */
function lanesOf(gate: Promise<void>) {
  const cluster = new MemoryCluster(systemClock)
  cluster.createTopic({ name: 't', partitions: 1, replicationFactor: 1 })
  const diagnostics: BackboneDiagnostics = new Diagnostics()
  const routes = new TopicRoutes(
    {
      admin: new MemoryAdmin(cluster),
      episodes: new Episodes({ record: async () => undefined, recordNews: async () => undefined }),
      diagnostics,
      clock: systemClock,
      storedPartitions: async (_, actual) => actual,
      onChange: () => undefined,
      onRehashed: () => undefined,
    },
    1_000,
  )
  const producer = new FaultyProducer(new MemoryProducer({ cluster, diagnostics }), (_, batch) => (batch === 1 ? gate : undefined))
  const acked: bigint[] = []
  const lanes = new Lanes(
    { producer, diagnostics, clock: systemClock, held: new HeldKeys(), inFlight: new InFlight(), routes },
    { batchSize: 1, batchBytes: 1_024, laneSize: 4 },
    {
      onAcked: (rows) => acked.push(...rows.map(({ seq }) => seq)),
      onLeft: () => undefined,
      onTopicRefused: () => undefined,
      onRowRefused: () => true,
      onRoom: () => undefined,
      onFailed: (error) => {
        throw error
      },
    },
  )
  const usable = (): Promise<boolean> => until('the topic', () => routes.of('t').partitions !== undefined)
  return { lanes, routes, acked, usable, sending: () => producer.batches.length }
}

// Number 6 is of a transaction that is still open when the first pass reads up to 9, and decided in the second, which
// begins at the mark 5, leaves the topic or the lane out, and moves the mark beyond 6.
describe('what was left in the table is read again from the lowest row that a pass left out', () => {
  test('also when a topic that was met for the first time became usable between two passes', async () => {
    const { lanes, usable } = lanesOf(Promise.resolve())
    lanes.take([row(9n)])
    await usable()

    const closed = lanes.closed(5n)

    expect(closed).toMatchObject([{ topic: 't', partition: undefined }])
    expect(lanes.catchUp()?.from).toBe(6n)
  })

  test('also when a lane that was full has room again but is not read for yet', async () => {
    const gate = Promise.withResolvers<void>()
    const { lanes, sending, acked, usable } = lanesOf(gate.promise)
    await usable()
    lanes.take([1n, 2n, 3n, 4n, 9n].map(row))
    await until('the first message on its way', () => sending() === 1)

    const closed = lanes.closed(5n)
    const early = lanes.catchUp()
    gate.resolve()
    await until('all of them', () => acked.length === 4)

    expect(closed).toMatchObject([{ topic: 't', partition: 0 }])
    expect(early).toBeUndefined()
    expect(lanes.catchUp()?.from).toBe(6n)
  })

  test('also when their topic was read for without their lane, which was busy', async () => {
    const gate = Promise.withResolvers<void>()
    const { lanes, routes, sending, acked, usable } = lanesOf(gate.promise)
    await usable()
    lanes.take([1n, 2n, 3n, 4n, 9n].map(row))
    await until('the first message on its way', () => sending() === 1)
    routes.refuse('t', 'not now')
    lanes.take([row(8n)])
    await usable()

    const topic = lanes.catchUp()
    topic?.done(undefined)
    gate.resolve()
    await until('all of them', () => acked.length === 4)

    expect(topic).toMatchObject({ only: [{ partition: undefined }], without: [{ partition: 0 }], from: 8n })
    expect(lanes.catchUp()?.from).toBe(8n)
  })
})
