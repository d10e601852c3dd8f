import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { TopicSpec } from '../../core/broker/topic-plan.ts'
import type { Clock } from '../../foundation/clock.ts'
import { MemoryFaults } from './memory-faults.ts'
import { MemoryGroup } from './memory-group.ts'
import { type MemoryPartition, MemoryTopic } from './memory-topic.ts'

/** What the ports of a memory log share: its topics, its groups, its faults and its clock. */
export class MemoryCluster {
  readonly clock: Clock
  readonly faults: MemoryFaults
  readonly #topics = new Map<string, MemoryTopic>()
  readonly #groups = new Map<string, MemoryGroup>()
  readonly #waiting = new Set<() => void>()

  constructor(clock: Clock) {
    this.clock = clock
    this.faults = new MemoryFaults({
      rebalance: (group) => this.#rebalance(group),
      loseLeader: (target, forMs) => this.partition(target)?.loseLeader(forMs),
      cutOff: (group) => this.group(group).cutOff(),
    })
  }

  topic(name: string): MemoryTopic | undefined {
    return this.#topics.get(name)
  }

  /** @returns whether there was none of that name */
  createTopic(spec: TopicSpec): boolean {
    if (this.#topics.has(spec.name)) return false
    this.#topics.set(spec.name, new MemoryTopic(spec, this.clock))
    for (const wake of this.#waiting) wake()
    return true
  }

  partition({ topic, partition }: TopicPartition): MemoryPartition | undefined {
    return this.#topics.get(topic)?.partitions[partition]
  }

  group(name: string): MemoryGroup {
    const group = this.#groups.get(name) ?? new MemoryGroup((topic) => this.topic(topic)?.partitions.length ?? 0)
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

  #rebalance(name: string | undefined): void {
    const groups = name === undefined ? this.#groups.values() : [this.group(name)]
    for (const group of groups) group.rebalance()
  }
}
