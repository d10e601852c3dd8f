import { assignPartitions } from '../../core/broker/assignment.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { TransientError } from '../../foundation/errors.ts'

/** What a group asks of a member. */
export interface GroupMember {
  readonly topics: readonly string[]
  /** The partitions are dealt out anew: what it had ends, and this is the last moment for its commits. */
  revoke(): void
  /** Begins an assignment. */
  assign(generation: number, partitions: readonly TopicPartition[]): void
}

/**
 * A consumer group: its members share the partitions of their topics evenly, each join or leave begins a new
 * generation, and what is committed in the name of an old one is refused.
 */
export class MemoryGroup {
  readonly #partitionsOf: (topic: string) => number
  readonly #members: GroupMember[] = []
  readonly #committed = new Map<string, bigint>()
  #generation = 0
  #owned: ReadonlyMap<GroupMember, readonly TopicPartition[]> = new Map()

  constructor(partitionsOf: (topic: string) => number) {
    this.#partitionsOf = partitionsOf
  }

  /** Again when there are more topics or partitions. */
  join(member: GroupMember): void {
    if (!this.#members.includes(member)) this.#members.push(member)
    this.rebalance()
  }

  leave(member: GroupMember): void {
    if (this.#remove(member)) this.rebalance()
  }

  /** @throws TransientError `GENERATION_OLD`: nothing was committed */
  commit(member: GroupMember, generation: number, { topic, partition }: TopicPartition, next: bigint): void {
    if (generation !== this.#generation || !this.#members.includes(member)) throw generationOld(generation, this.#generation)
    this.#committed.set(`${topic}/${partition}`, next)
  }

  /** The next offset by `topic/partition`. */
  get committed(): ReadonlyMap<string, bigint> {
    return this.#committed
  }

  rebalance(): void {
    const members = [...this.#members]
    for (const member of members) member.revoke()
    this.#generation += 1
    this.#owned = this.#share(members)
    for (const member of members) member.assign(this.#generation, this.#owned.get(member) ?? [])
  }

  /** Its oldest member is forgotten and does not know. @returns lets it know, and join again */
  cutOff(): () => void {
    const [member] = this.#members
    if (member === undefined) return () => undefined
    this.#remove(member)
    this.rebalance()
    return () => {
      member.revoke()
      this.join(member)
    }
  }

  #remove(member: GroupMember): boolean {
    const index = this.#members.indexOf(member)
    if (index >= 0) this.#members.splice(index, 1)
    return index >= 0
  }

  /** As members on Kafka do it. */
  #share(members: readonly GroupMember[]): ReadonlyMap<GroupMember, readonly TopicPartition[]> {
    // The one who joined first comes first, as with the ids that Kafka gives.
    const named = members.map((member, index) => ({ member, id: String(index).padStart(6, '0') }))
    const subscribed = named.map(({ member, id }) => ({ id, topics: member.topics, owned: this.#owned.get(member) ?? [] }))
    const topics = new Set(members.flatMap((member) => member.topics))
    const shares = assignPartitions(subscribed, new Map([...topics].map((topic) => [topic, this.#partitionsOf(topic)])))
    return new Map(named.map(({ member, id }) => [member, shares.get(id) ?? []]))
  }
}

function generationOld(generation: number, current: number): TransientError {
  return new TransientError(
    'GENERATION_OLD',
    `A commit in generation ${generation} of the group is refused: it is in generation ${current}. The partitions may have another owner.`,
    { generation, current },
  )
}
