import { expect, test } from 'vitest'
import { PartitionReader, type PartitionSource } from '../../../src/core/broker/partition-reader.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'

const partition = { topic: 'orders', partition: 0 }

/** A driver in the moment after its connection has died: it cannot even pause. */
class DeadSource implements PartitionSource {
  ranges = 0
  readonly revived: boolean

  constructor(revived: boolean) {
    this.revived = revived
  }

  async range() {
    this.ranges += 1
    if (!this.revived || this.ranges === 1) throw new Error('Kafka is away')
    return { earliest: 0n, latest: 1n, topicId: null }
  }

  seek(): void {}

  pause(): void {
    throw new Error('Consumer group was not initialized, consumer#run must be called first')
  }

  async next() {
    return [{ offset: 0n, key: null, value: null, headers: [], timestampMs: 0 }]
  }
}

function readerOf(source: PartitionSource, listener: RecordingListener, interrupted: unknown[]): PartitionReader {
  return new PartitionReader({
    partition,
    source,
    listener,
    clock: systemClock,
    onProgress: () => undefined,
    onInterrupted: (error) => interrupted.push(error),
  })
}

test('goes on after a failure although its source cannot pause', async () => {
  const listener = new RecordingListener(undefined, (batch) => (batch.records[0]?.offset ?? 0n) + 1n)
  const interrupted: unknown[] = []
  const reader = readerOf(new DeadSource(true), listener, interrupted)

  reader.start()
  await listener.until(() => listener.records.length > 0)
  await reader.end()

  expect(interrupted).toMatchObject([{ message: 'Kafka is away' }])
})

test('ends, and says that the partition is revoked, although its source cannot pause', async () => {
  const listener = new RecordingListener()
  const reader = readerOf(new DeadSource(false), listener, [])
  reader.start()

  await expect(reader.end()).resolves.toBeUndefined()

  expect(listener.revoked).toEqual([partition])
})

test('ends although its listener fails to let go of the partition', async () => {
  const listener = new RecordingListener()
  listener.onRevoked = () => {
    throw new Error('the listener failed')
  }
  const interrupted: unknown[] = []
  const reader = readerOf(new DeadSource(false), listener, interrupted)
  reader.start()

  await expect(reader.end()).resolves.toBeUndefined()

  expect(interrupted).toContainEqual(new Error('the listener failed'))
})
