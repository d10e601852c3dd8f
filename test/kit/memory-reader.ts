import type { MemoryLog } from '../../src/adapters/memory/memory-log.ts'
import type { ConsumedRecord, LogConsumer } from '../../src/core/broker/log-consumer.ts'
import { type LoggedMessage, readCounted } from './checker.ts'
import { until } from './wait.ts'

/** Reads a memory log from its beginning, through its consumer: what any member of any group would see. */
export class MemoryReader {
  readonly #log: MemoryLog
  readonly #topics = new Map<string, { readonly consumer: LogConsumer; readonly records: ConsumedRecord[][] }>()

  constructor(log: MemoryLog) {
    this.#log = log
  }

  /** @returns what each partition holds now, in order */
  async read(topic: string): Promise<readonly (readonly ConsumedRecord[])[]> {
    const { admin } = this.#log.driver()
    const partitions = (await admin.partitionsOf(topic)) ?? 0
    if (partitions === 0) return []
    const { records } = await this.#follow(topic)
    const ends = await Promise.all(
      Array.from({ length: partitions }, async (_, partition) => Number((await admin.rangeOf({ topic, partition })).latest)),
    )
    await until(`all of ${topic}`, () => ends.every((end, partition) => (records[partition]?.length ?? 0) >= end))
    return ends.map((end, partition) => (records[partition] ?? []).slice(0, end))
  }

  /** The same, as the judge wants it; records that are no message of the kit are left out. */
  async logged(topic: string): Promise<LoggedMessage[]> {
    const partitions = await this.read(topic)
    return partitions.flatMap((records, partition) =>
      records.flatMap(({ value, offset, headers }) => {
        const counted = readCounted(value)
        const id = String(headers.find(([name]) => name === 'ce_id')?.[1])
        return counted === undefined ? [] : [{ ...counted, partition, offset, id }]
      }),
    )
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#topics.values()].map(({ consumer }) => consumer.stop(1_000)))
  }

  async #follow(topic: string) {
    const known = this.#topics.get(topic)
    if (known !== undefined) return known
    const records: ConsumedRecord[][] = []
    const consumer = this.#log.driver().consumers.consumer(`reader of ${topic}`, [topic])
    const followed = { consumer, records }
    this.#topics.set(topic, followed)
    await consumer.start(
      {
        onAssigned: async ({ partition }) => {
          records[partition] = []
          return 0n
        },
        onBatch: async (batch) => {
          records[batch.partition]?.push(...batch.records)
          return (batch.records.at(-1)?.offset ?? 0n) + 1n
        },
        onRevoked: () => undefined,
        onFailure: () => undefined,
      },
      new AbortController().signal,
    )
    return followed
  }
}
