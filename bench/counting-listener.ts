import type { ConsumedBatch, LogConsumerListener, PartitionRange } from '../src/core/broker/log-consumer.ts'
import type { TopicPartition } from '../src/core/broker/log-producer.ts'

type OnRecords = (values: readonly (Buffer | null)[], partition: TopicPartition) => void

/** Takes every record, from the first on. */
export class CountingListener implements LogConsumerListener {
  readonly #onRecords: OnRecords
  /** They are read when somebody asks for them, and other clients read them all. */
  headers = 0

  constructor(onRecords: OnRecords) {
    this.#onRecords = onRecords
  }

  async onAssigned(_: TopicPartition, range: PartitionRange): Promise<bigint> {
    return range.earliest
  }

  async onBatch({ topic, partition, records }: ConsumedBatch): Promise<bigint> {
    for (const { headers } of records) this.headers += headers.length
    this.#onRecords(
      records.map(({ value }) => value),
      { topic, partition },
    )
    return (records.at(-1)?.offset ?? -1n) + 1n
  }

  onRevoked(): void {}

  onFailure(error: unknown): void {
    throw error
  }
}
