import type { TopicPartition } from '../../core/broker/log-producer.ts'

const FETCHES_MAX = 4
/** So many damaged batches at a time are no accident of the network; the oldest are forgotten. */
const COUNTED_MAX = 1_000

/** Counts how often a batch came with a wrong checksum: damage done on the way goes away, damage on a disk stays. */
export class DamagedBatches {
  readonly #fetches = new Map<string, number>()

  /** @returns whether the batch should be fetched once more, over another connection; after four times the answer is no */
  fetchAgain({ topic, partition }: TopicPartition, baseOffset: bigint): boolean {
    const name = `${topic}/${partition}@${baseOffset}`
    const fetches = (this.#fetches.get(name) ?? 0) + 1
    this.#fetches.delete(name)
    this.#fetches.set(name, fetches)
    for (const oldest of this.#fetches.keys()) {
      if (this.#fetches.size <= COUNTED_MAX) break
      this.#fetches.delete(oldest)
    }
    return fetches < FETCHES_MAX
  }
}
