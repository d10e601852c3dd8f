import type { TopicPartition } from '../../core/broker/log-producer.ts'

/** What a group asks of a member. */
export interface GroupMember {
  /** Ends the assignment that it has and begins this one. */
  assign(partitions: readonly TopicPartition[]): void
}

/** A consumer group: its members share all partitions evenly, and each join or leave deals them out anew. */
export class MemoryGroup {
  readonly #members: GroupMember[] = []
  readonly #committed = new Map<string, bigint>()
  #partitions: readonly TopicPartition[] = []

  /** Again when there are more. @param partitions of the topics of all members, which are the same */
  join(member: GroupMember, partitions: readonly TopicPartition[]): void {
    if (!this.#members.includes(member)) this.#members.push(member)
    this.#partitions = partitions
    this.#rebalance()
  }

  leave(member: GroupMember): void {
    const index = this.#members.indexOf(member)
    if (index < 0) return
    this.#members.splice(index, 1)
    this.#rebalance()
  }

  commit({ topic, partition }: TopicPartition, next: bigint): void {
    this.#committed.set(`${topic}/${partition}`, next)
  }

  committed({ topic, partition }: TopicPartition): bigint | undefined {
    return this.#committed.get(`${topic}/${partition}`)
  }

  #rebalance(): void {
    const count = this.#members.length
    this.#members.forEach((member, index) => {
      member.assign(this.#partitions.filter((_, place) => place % count === index))
    })
  }
}
