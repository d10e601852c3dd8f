import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSpec } from '../../core/broker/topic-plan.ts'
import { MemoryGroup } from './memory-group.ts'
import { type MemoryPartition, MemoryTopic } from './memory-topic.ts'

/** What the ports of a memory log share: its topics and its groups. */
export class MemoryCluster {
  readonly #topics = new Map<string, MemoryTopic>()
  readonly #groups = new Map<string, MemoryGroup>()
  readonly #waiting = new Set<() => void>()

  topic(name: string): MemoryTopic | undefined {
    return this.#topics.get(name)
  }

  /** @returns whether there was none of that name */
  createTopic({ name, partitions }: TopicSpec): boolean {
    if (this.#topics.has(name)) return false
    this.#topics.set(name, new MemoryTopic(partitions))
    for (const wake of this.#waiting) wake()
    return true
  }

  partition({ topic, partition }: TopicPartition): MemoryPartition | undefined {
    return this.#topics.get(topic)?.partitions[partition]
  }

  group(name: string): MemoryGroup {
    const group = this.#groups.get(name) ?? new MemoryGroup()
    this.#groups.set(name, group)
    return group
  }

  /** Resolves when one of these exists, or when the signal aborts. */
  async hasOneOf(names: readonly string[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !names.some((name) => this.#topics.has(name))) {
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
