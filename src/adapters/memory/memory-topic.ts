import type { ConsumedRecord, PartitionRange } from '../../core/broker/log-consumer.ts'
import type { LogRecord } from '../../core/broker/log-producer.ts'
import { StuckError } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'

/** A topic of the memory log. Its id tells it from an earlier one of the same name. */
export class MemoryTopic {
  readonly id: string = newToken()
  readonly partitions: readonly MemoryPartition[]

  constructor(partitions: number) {
    this.partitions = Array.from({ length: partitions }, () => new MemoryPartition())
  }

  rangeOf(partition: MemoryPartition): PartitionRange {
    return { earliest: 0n, latest: partition.end, topicId: this.id }
  }
}

/** Records in the order in which they were appended; an offset is a place in the list. */
export class MemoryPartition {
  readonly #records: ConsumedRecord[] = []
  readonly #waiting = new Set<() => void>()

  get end(): bigint {
    return BigInt(this.#records.length)
  }

  /** The bytes are copied, as a broker has its own: the caller may use its buffers again. @returns the first offset */
  append(records: readonly LogRecord[]): bigint {
    const baseOffset = this.end
    for (const { key, value, headers, timestampMs } of records) {
      this.#records.push({
        offset: this.end,
        key: copyOf(key),
        value: copyOf(value),
        headers: headers.map(([name, bytes]) => [name, Buffer.from(bytes)] as const),
        timestampMs,
      })
    }
    for (const wake of this.#waiting) wake()
    return baseOffset
  }

  read(from: bigint, max: number): readonly ConsumedRecord[] {
    return this.#records.slice(Number(from), Number(from) + max)
  }

  /** Resolves when there is a record at `offset`, or when the signal aborts. */
  async holds(offset: bigint, signal: AbortSignal): Promise<void> {
    while (this.end <= offset && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }
}

function copyOf(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes)
}

export function topicMissing(topic: string): StuckError {
  return new StuckError('TOPIC_MISSING', `Topic "${topic}" does not exist in the memory log. Create it: admin.createTopics.`, { topic })
}
