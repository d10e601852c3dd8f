import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { TopicPartition } from './log-producer.ts'

export interface PartitionOffset extends TopicPartition {
  /** The next offset to read. */
  readonly next: bigint
}

export interface OffsetCommitterParts {
  readonly group: string
  readonly commit: (offsets: readonly PartitionOffset[]) => Promise<void>
  readonly diagnostics: BackboneDiagnostics | undefined
}

/**
 * Commits offsets to the group, at most four times a second, for one generation of its assignment.
 *
 * They serve lag tools; where a group stands is in its effects database. So a commit that fails is only tried
 * again with the next.
 */
export class OffsetCommitter {
  static readonly intervalMs = 250
  readonly #parts: OffsetCommitterParts
  readonly #dirty = new Map<string, PartitionOffset>()
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(parts: OffsetCommitterParts) {
    this.#parts = parts
  }

  note(partition: TopicPartition, next: bigint): void {
    if (this.#closed) return
    this.#dirty.set(`${partition.topic}/${partition.partition}`, { ...partition, next })
    this.#timer ??= setTimeout(() => void this.flush(), OffsetCommitter.intervalMs)
  }

  /** Commits what is not committed yet. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#flushing = this.#flushing.then(() => this.#commit())
    await this.#flushing
  }

  /** After this nothing is taken or committed: another generation has begun. */
  close(): void {
    this.#closed = true
    this.#dirty.clear()
    clearTimeout(this.#timer)
  }

  async #commit(): Promise<void> {
    const offsets = [...this.#dirty.values()]
    if (offsets.length === 0) return
    this.#dirty.clear()
    for (const offset of offsets) this.#parts.diagnostics?.emit('offset.committing', { group: this.#parts.group, ...offset })
    try {
      await this.#parts.commit(offsets)
    } catch {
      for (const offset of offsets) {
        if (!this.#dirty.has(`${offset.topic}/${offset.partition}`)) this.note(offset, offset.next)
      }
    }
  }
}
