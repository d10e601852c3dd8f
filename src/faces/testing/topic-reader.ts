import type { MemoryLog } from '../../adapters/memory/memory-log.ts'
import type { ConsumedRecord, LogConsumer } from '../../core/broker/log-consumer.ts'
import { readMessage } from '../../core/consume/route.ts'
import type { AnyContract, Message } from '../../core/contract/contract.ts'

interface Followed {
  readonly consumer: LogConsumer
  readonly partitions: number
}

/** Reads every topic of a memory log from its beginning, as any member of any group would. */
export class TopicReader {
  readonly #log: MemoryLog
  readonly #topics = new Map<string, Promise<Followed>>()
  readonly #read = new Map<string, bigint>()
  readonly #records: ConsumedRecord[] = []

  constructor(log: MemoryLog) {
    this.#log = log
  }

  get topics(): readonly string[] {
    return [...this.#topics.keys()]
  }

  /** Makes the topic if it is missing, and follows it from now on. */
  async follow(topic: string, partitions: number): Promise<void> {
    if (!this.#topics.has(topic)) this.#topics.set(topic, this.#begin(topic, partitions))
    await this.#topics.get(topic)
  }

  /** The offset after the last record of each partition, and whether all of them were read. */
  async ends(topic: string): Promise<readonly { readonly partition: number; readonly end: bigint; readonly read: boolean }[]> {
    const { admin } = this.#log.driver()
    const count = (await admin.partitionsOf(topic)) ?? 0
    return await Promise.all(
      Array.from({ length: count }, async (_, partition) => {
        const { latest: end } = await admin.rangeOf({ topic, partition })
        return { partition, end, read: (this.#read.get(`${topic}/${partition}`) ?? 0n) >= end }
      }),
    )
  }

  /** The messages of a contract that were read, without repetitions: a relay may send twice, and nobody minds. */
  messagesOf<C extends AnyContract>(contract: C): readonly Message[] {
    const found = new Map<string, Message>()
    for (const record of this.#records) {
      const message = readMessage(record, contract.definition)
      if (message !== undefined && !found.has(message.id)) found.set(message.id, message)
    }
    return [...found.values()]
  }

  /** How often each type was read, without repetitions. */
  types(): ReadonlyMap<string, number> {
    const types = new Map(
      this.#records.map(({ headers, offset }) => [headerOf(headers, 'ce_id') ?? String(offset), headerOf(headers, 'ce_type') ?? 'unknown']),
    )
    const counts = new Map<string, number>()
    for (const type of types.values()) counts.set(type, (counts.get(type) ?? 0) + 1)
    return counts
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#topics.values()].map(async (followed) => (await followed).consumer.stop(1_000)))
  }

  async #begin(topic: string, partitions: number): Promise<Followed> {
    const { admin, consumers } = this.#log.driver()
    await admin.createTopics([{ name: topic, partitions, replicationFactor: 1 }])
    const consumer = consumers.consumer(`trunkline-testing.${topic}`, [topic])
    const listener = {
      onAssigned: async ({ partition }: { partition: number }) => this.#read.get(`${topic}/${partition}`) ?? 0n,
      onBatch: async (batch: { partition: number; records: readonly ConsumedRecord[] }) => this.#take(topic, batch),
      onRevoked: () => undefined,
      onFailure: () => undefined,
    }
    await consumer.start(listener, new AbortController().signal)
    return { consumer, partitions }
  }

  #take(topic: string, { partition, records }: { partition: number; records: readonly ConsumedRecord[] }): bigint {
    for (const record of records) {
      // Again after a rebalance: the position is this reader's own.
      if (record.offset < (this.#read.get(`${topic}/${partition}`) ?? 0n)) continue
      this.#records.push(record)
      this.#read.set(`${topic}/${partition}`, record.offset + 1n)
    }
    return (records.at(-1)?.offset ?? 0n) + 1n
  }
}

function headerOf(headers: ConsumedRecord['headers'], name: string): string | undefined {
  return headers.find(([header]) => header === name)?.[1].toString()
}
