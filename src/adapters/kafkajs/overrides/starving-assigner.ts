import type { Assigner, PartitionAssigner } from 'kafkajs'
import { assignPartitions, type GroupMember } from '../../../core/broker/assignment.ts'
import type { TopicPartition } from '../../../core/broker/log-producer.ts'
import type { AssignerProtocol } from '../internals.ts'

export interface SubscriptionParts {
  readonly topics: readonly string[]
  /** What this member reads now; told to the group when it joins again. */
  readonly owned: () => readonly TopicPartition[]
  /** @returns `undefined` when there is no such topic */
  readonly partitionsOf: (topic: string) => Promise<number | undefined>
}

/** Members with another way to share partitions out do not agree with us; both sides then use one that both know. */
const NAME = 'trunkline'
const VERSION = 1
/** What a member tells of itself is at most as large as its subscriptions and partitions. */
const USER_DATA_BYTES_MAX = 1024 * 1024

/**
 * Removes: kafkajs's only assigner shares out the topics of whoever leads the group, so that topics which only others
 * subscribe to are read by nobody; it gives partitions to members that do not subscribe to them, who drop them; and
 * it moves most partitions whenever a member comes or goes.
 *
 * Ours reads every member's subscription, and what each of them owned, which travels as the user data of a join.
 */
export function fairAssigner(protocol: AssignerProtocol, parts: SubscriptionParts): PartitionAssigner {
  return (): Assigner => ({
    name: NAME,
    version: VERSION,
    protocol: () => ({
      name: NAME,
      metadata: protocol.MemberMetadata.encode({
        version: VERSION,
        topics: [...parts.topics],
        userData: protocol.MemberAssignment.encode({ version: VERSION, assignment: byTopic(parts.owned()), userData: Buffer.alloc(0) }),
      }),
    }),
    assign: async ({ members }) => {
      const group = members.map(({ memberId, memberMetadata }) => memberOf(protocol, memberId, memberMetadata))
      const topics = new Set(group.flatMap((member) => member.topics))
      const counts = await Promise.all([...topics].map(async (topic) => [topic, (await parts.partitionsOf(topic)) ?? 0] as const))
      const shares = assignPartitions(group, new Map(counts))
      return [...shares].map(([memberId, partitions]) => ({
        memberId,
        memberAssignment: protocol.MemberAssignment.encode({
          version: VERSION,
          assignment: byTopic(partitions),
          userData: Buffer.alloc(0),
        }),
      }))
    },
  })
}

/** A member that tells nothing readable of itself subscribes to nothing: the others must not wait for it. */
function memberOf(protocol: AssignerProtocol, id: string, metadata: Buffer): GroupMember {
  try {
    const { topics, userData } = protocol.MemberMetadata.decode(metadata) ?? { topics: [], userData: Buffer.alloc(0) }
    return { id, topics, owned: ownedIn(protocol, userData) }
  } catch {
    return { id, topics: [], owned: [] }
  }
}

function ownedIn(protocol: AssignerProtocol, userData: Buffer | null): TopicPartition[] {
  if (userData === null || userData.length > USER_DATA_BYTES_MAX) return []
  try {
    const assignment: Readonly<Record<string, readonly number[]>> = protocol.MemberAssignment.decode(userData)?.assignment ?? {}
    return Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })))
  } catch {
    return [] // it only costs a move
  }
}

function byTopic(partitions: readonly TopicPartition[]): Record<string, number[]> {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic)
    if (known === undefined) topics.set(topic, [partition])
    else known.push(partition)
  }
  return Object.fromEntries(topics)
}
