import type { TopicPartition } from './log-producer.ts'

/** A member of a consumer group, as it tells of itself when it joins. */
export interface GroupMember {
  readonly id: string
  readonly topics: readonly string[]
  /** What it read until now. */
  readonly owned: readonly TopicPartition[]
}

/**
 * Shares the partitions of a group out: each to a member that subscribes to its topic, as evenly as the subscriptions
 * allow, and with as few moves as that takes. The same members and counts give the same answer.
 *
 * @param partitionCounts topics that are missing have no partitions
 * @returns the partitions of each member, empty where it gets none
 */
export function assignPartitions(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly TopicPartition[]> {
  const shares = members.map((member) => new Share(member)).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const taken = keepOwned(members, shares, partitionCounts)
  handOutRest(shares, partitionCounts, taken)
  levelOut(shares)
  return new Map(shares.map((share) => [share.id, share.partitions()]))
}

/** Who read a partition reads on; of two that say so, the first by name. */
function keepOwned(members: readonly GroupMember[], shares: readonly Share[], counts: ReadonlyMap<string, number>): ReadonlySet<string> {
  const taken = new Set<string>()
  const owned = new Map(members.map((member) => [member.id, member.owned]))
  for (const share of shares) {
    for (const { topic, partition } of owned.get(share.id) ?? []) {
      const exists = partition >= 0 && partition < (counts.get(topic) ?? 0)
      const key = `${topic}/${partition}`
      if (!exists || taken.has(key) || !share.topics.has(topic)) continue
      taken.add(key)
      share.add(topic, partition)
    }
  }
  return taken
}

function handOutRest(shares: readonly Share[], counts: ReadonlyMap<string, number>, taken: ReadonlySet<string>): void {
  for (const [topic, count] of [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const subscribers = shares.filter((share) => share.topics.has(topic))
    for (let partition = 0; partition < count; partition++) {
      if (taken.has(`${topic}/${partition}`)) continue
      poorest(subscribers, topic)?.add(topic, partition)
    }
  }
}

function poorest(shares: readonly Share[], topic: string): Share | undefined {
  let found: Share | undefined
  for (const share of shares) {
    const isPoorer =
      found === undefined || share.size < found.size || (share.size === found.size && share.countOf(topic) < found.countOf(topic))
    if (isPoorer) found = share
  }
  return found
}

/** Every move makes two shares more equal, so it ends. */
function levelOut(shares: readonly Share[]): void {
  let moved = true
  while (moved) {
    const byWealth = shares.toSorted((a, b) => a.size - b.size)
    moved = byWealth.some((receiver) => receiver.takeFrom(byWealth))
  }
}

class Share {
  readonly id: string
  readonly topics: ReadonlySet<string>
  readonly #held = new Map<string, number[]>()
  size = 0

  constructor({ id, topics }: GroupMember) {
    this.id = id
    this.topics = new Set(topics)
  }

  countOf(topic: string): number {
    return this.#held.get(topic)?.length ?? 0
  }

  add(topic: string, partition: number): void {
    const held = this.#held.get(topic)
    if (held === undefined) this.#held.set(topic, [partition])
    else held.push(partition)
    this.size += 1
  }

  /** @returns whether one of them had at least two more, and gave one that this member may read */
  takeFrom(sharesByWealth: readonly Share[]): boolean {
    for (let index = sharesByWealth.length - 1; index >= 0; index--) {
      const giver = sharesByWealth[index]
      if (giver === undefined || giver.size < this.size + 2) return false
      const topic = giver.#largestOf(this.topics)
      const partition = topic === undefined ? undefined : giver.#held.get(topic)?.pop()
      if (topic === undefined || partition === undefined) continue
      giver.size -= 1
      this.add(topic, partition)
      return true
    }
    return false
  }

  partitions(): TopicPartition[] {
    return [...this.#held].flatMap(([topic, partitions]) => partitions.toSorted((a, b) => a - b).map((partition) => ({ topic, partition })))
  }

  /** Taken from the topic of which it holds most, so that a busy topic spreads. */
  #largestOf(topics: ReadonlySet<string>): string | undefined {
    let largest: string | undefined
    for (const [topic, { length }] of this.#held) {
      if (length > 0 && topics.has(topic) && (largest === undefined || length > this.countOf(largest))) largest = topic
    }
    return largest
  }
}
