import { lagOf } from '../../core/broker/lag.ts'
import type { GroupLag } from '../../core/broker/log-admin.ts'
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
  readonly #deleted = new Set<string>()
  readonly #groups = new Map<string, MemoryGroup>()
  readonly #waiting = new Set<() => void>()

  constructor(clock: Clock) {
    this.clock = clock
    this.faults = new MemoryFaults({
      rebalance: (group) => this.rebalance(group),
      loseLeader: (target, forMs) => this.partition(target)?.loseLeader(forMs),
      cutOff: (group) => this.group(group).cutOff(),
    })
  }

  topic(name: string): MemoryTopic | undefined {
    return this.#topics.get(name)
  }

  topicNames(): readonly string[] {
    return [...this.#topics.keys()].toSorted()
  }

  /** What operators do to it, or a test: members notice, and the offsets of groups stay. */
  deleteTopic(name: string): void {
    if (this.#topics.delete(name)) this.#deleted.add(name)
    this.rebalance()
  }

  /** What groups have not read of the topic, of those that have committed something of it. */
  lagsOf(topic: MemoryTopic): readonly GroupLag[] {
    const ranges = topic.partitions.map(({ start, end }) => ({ earliest: start, latest: end }))
    const groups = [...this.#groups].map(([group, { committed }]) => {
      const offsets = topic.partitions.map((_, partition) => [partition, committed.get(`${topic.name}/${partition}`)] as const)
      return { group, offsets: new Map(offsets.flatMap(([partition, next]) => (next === undefined ? [] : [[partition, next]]))) }
    })
    const readers = groups.filter(({ offsets }) => offsets.size > 0).toSorted((a, b) => (a.group < b.group ? -1 : 1))
    return readers.map(({ group, offsets }) => ({ group, lag: lagOf(offsets, ranges) }))
  }

  /** @returns whether there was none of that name */
  createTopic(spec: TopicSpec): boolean {
    if (this.#topics.has(spec.name)) return false
    this.#topics.set(spec.name, new MemoryTopic(spec, this.clock))
    for (const wake of this.#waiting) wake()
    if (this.#deleted.delete(spec.name)) this.rebalance()
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

  rebalance(name?: string): void {
    const groups = name === undefined ? this.#groups.values() : [this.group(name)]
    for (const group of groups) group.rebalance()
  }
}
