import type { ConsumedRecord, LogConsumerListener } from '../../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'

export interface ReadRecord extends Pick<ConsumedRecord, 'key' | 'headers'> {
  readonly topic: string
}

/** Reads everything that the topics hold now, from the first record on. */
export async function readLog(driver: LogDriver, topics: readonly string[], signal: AbortSignal): Promise<ReadRecord[]> {
  const remaining = await endsOf(driver, topics)
  const records: ReadRecord[] = []
  const done = Promise.withResolvers<void>()
  const check = (): void => {
    if (remaining.size === 0) done.resolve()
  }
  check()
  const listener: LogConsumerListener = {
    onAssigned: async (_partition, range) => range.earliest,
    onBatch: async (batch) => {
      const next = (batch.records.at(-1)?.offset ?? -1n) + 1n
      for (const record of batch.records) records.push({ topic: batch.topic, key: record.key, headers: record.headers })
      const name = `${batch.topic}/${batch.partition}`
      if (next >= (remaining.get(name) ?? 0n)) remaining.delete(name)
      check()
      return next
    },
    onRevoked: () => undefined,
    onFailure: (error) => done.reject(error),
  }
  const consumer = driver.consumers.consumer('demo-report', topics)
  signal.addEventListener('abort', () => done.reject(signal.reason))
  try {
    await consumer.start(listener, signal)
    await done.promise
    return records
  } finally {
    await consumer.stop(2_000)
  }
}

/** Where the partitions end that hold something. */
async function endsOf(driver: LogDriver, topics: readonly string[]): Promise<Map<string, bigint>> {
  const ends = new Map<string, bigint>()
  for (const topic of topics) {
    const partitions = (await driver.admin.partitionsOf(topic)) ?? 0
    for (let partition = 0; partition < partitions; partition++) {
      const { earliest, latest } = await driver.admin.rangeOf({ topic, partition })
      if (latest > earliest) ends.set(`${topic}/${partition}`, latest)
    }
  }
  return ends
}
