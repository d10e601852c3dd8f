import type { PartitionRange } from '../../core/broker/log-consumer.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { TransientError } from '../../foundation/errors.ts'

/** One partition's fetching, as it looks from outside. */
export interface WatchedPartition {
  readonly partition: TopicPartition
  /** How long fetches have told nothing of it although they should. */
  readonly silentMs: number
  /** Where the next fetch is due; `undefined` while it is not to be fetched. */
  readonly due: bigint | undefined
  /** Nothing is wrong with it so far: silence is counted anew. */
  heard(): void
}

/** A leader that hangs is noticed by its request's timeout of 30 s, and replaced. */
const SILENT_MS_MAX = 45_000
const CHECK_MS = 5_000

export interface LagWatchParts {
  readonly partitions: () => Iterable<WatchedPartition>
  /** Asked over a connection of its own. */
  readonly rangeOf: (partition: TopicPartition) => Promise<PartitionRange>
  readonly onStalled: (error: TransientError) => void
}

/**
 * Notices a partition that has records and is not fetched, while the member beats its heart and reads others.
 *
 * A partition with nothing to read, one without a leader and a cluster that does not answer are no reason to replace
 * the member: so the log itself is asked before it is said.
 */
export class LagWatch {
  readonly #parts: LagWatchParts
  #timer: NodeJS.Timeout | undefined
  #checking = false

  constructor(parts: LagWatchParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.check(), CHECK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Never rejects. */
  async check(): Promise<void> {
    if (this.#checking) return
    this.#checking = true
    try {
      for (const watched of this.#parts.partitions()) {
        if (watched.silentMs > SILENT_MS_MAX) await this.#ask(watched)
      }
    } finally {
      this.#checking = false
    }
  }

  async #ask(watched: WatchedPartition): Promise<void> {
    const range = await this.#parts.rangeOf(watched.partition).catch(() => undefined)
    const { due } = watched
    const isStalled = range !== undefined && due !== undefined && range.latest > due && watched.silentMs > SILENT_MS_MAX
    if (isStalled) this.#parts.onStalled(stalled(watched.partition, range.latest - due))
    else watched.heard()
  }
}

function stalled({ topic, partition }: TopicPartition, waiting: bigint): TransientError {
  return new TransientError(
    'PARTITION_SILENT',
    `The membership is given up: ${waiting} records wait in ${topic}/${partition}, and none of them was fetched for ${SILENT_MS_MAX / 1_000} s. A new one is begun.`,
    { topic, partition },
  )
}
