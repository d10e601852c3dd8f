import { assignPartitions } from '../../core/broker/assignment.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import type { PartitionOffset } from '../../core/broker/offset-committer.ts'
import { ConfigurationError, isTrunklineError, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { byTopic } from '../wire/by-topic.ts'
import {
  ASSIGNER_NAME,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  ROUND_ROBIN_NAME,
} from '../wire/group-protocol.ts'
import type { PlatformaticClient } from './client.ts'

/** Who a member is to its group, from one membership to the next: so a new connection does not make it a new member. */
export interface MemberIdentity {
  memberId: string
  owned: readonly TopicPartition[]
}

export interface GroupSessionParts {
  readonly client: PlatformaticClient
  readonly group: string
  readonly topics: readonly string[]
  readonly identity: MemberIdentity
  /** Makes the member static: it may be away for the session timeout, and come back without a rebalance. */
  readonly instanceId: string | null
  readonly sessionTimeoutMs: number
}

/** One assignment of the group, and in whose name it is read and committed. */
export interface Generation {
  readonly id: number
  readonly memberId: string
  readonly assignment: readonly TopicPartition[]
  /** The partitions that whoever leads the group shared out, by topic; empty for the others. */
  readonly counts: ReadonlyMap<string, number>
}

/** What the coordinator answers to a heartbeat: go on, join again, or you are no member any more. */
export type Beat = 'alive' | 'rebalancing' | 'forgotten'

interface JoinReply {
  readonly generationId: number
  readonly memberId: string
  readonly leader: string
  readonly protocolName?: string | null | undefined
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[]
}

/** How long the coordinator waits for all members to join again. */
const REBALANCE_TIMEOUT_MS = 30_000
/** Somebody else's rebalance may interrupt a join; so often it is no accident. */
const JOINS_MAX = 50

const code = {
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  memberIdRequired: 79,
  fencedInstance: 82,
} as const

const coordinatorMoved: readonly number[] = [code.coordinatorLoading, code.coordinatorNotAvailable, code.notCoordinator]

/** The classic group protocol, as one member speaks it: join, beat, commit, leave. */
export class GroupSession {
  readonly #parts: GroupSessionParts

  constructor(parts: GroupSessionParts) {
    this.#parts = parts
  }

  /**
   * Joins, or joins again, and learns the assignment; shares out the partitions if the group says so.
   *
   * @param signal aborts when the member leaves, which a coordinator tells a member that is joining by forgetting it
   * @throws TransientError no coordinator answers. @throws ConfigurationError the group does not let us in
   */
  async join(signal: AbortSignal): Promise<Generation> {
    const { identity } = this.#parts
    for (let attempt = 1; attempt <= JOINS_MAX; attempt++) {
      signal.throwIfAborted()
      const joined = await this.#join()
      if (joined === undefined) continue
      const counts = joined.leader === joined.memberId ? await this.#counts(joined) : new Map<string, number>()
      const assignment = await this.#sync(joined, counts)
      if (assignment === undefined) continue
      identity.owned = assignment
      return { id: joined.generationId, memberId: joined.memberId, assignment, counts }
    }
    throw new TransientError('KAFKA_FAILED', `Group "${this.#parts.group}" was rebalanced ${JOINS_MAX} times while this member joined.`)
  }

  async beat({ id, memberId }: Generation): Promise<Beat> {
    const { client, group, instanceId } = this.#parts
    const { errorCode } = await this.#askCoordinator(async (coordinator) => {
      return await client.ask(coordinator, client.library.heartbeatV4.api, group, id, memberId, instanceId)
    })
    if (errorCode === 0) return 'alive'
    if (errorCode === code.rebalanceInProgress) return 'rebalancing'
    if (errorCode !== code.unknownMember && errorCode !== code.illegalGeneration) throw this.#failure(errorCode)
    if (errorCode === code.unknownMember) this.#parts.identity.memberId = ''
    return 'forgotten'
  }

  /** @throws TrunklineError at least one of them is not committed: another generation has begun, or no coordinator answers */
  async commit({ id, memberId }: Generation, offsets: readonly PartitionOffset[]): Promise<void> {
    const { client, group, instanceId } = this.#parts
    const topics = [...byTopic(offsets)].map(([name, ofTopic]) => ({
      name,
      partitions: ofTopic.map(({ partition, next }) => ({ partitionIndex: partition, committedOffset: next, committedLeaderEpoch: -1 })),
    }))
    const reply = await this.#askCoordinator(async (coordinator) => {
      const answer = await client.ask(coordinator, client.library.offsetCommitV8.api, group, id, memberId, instanceId, topics)
      const refused = answer.topics.flatMap((topic) => topic.partitions).find(({ errorCode }) => errorCode !== 0)
      return { errorCode: refused?.errorCode ?? 0 }
    })
    if (reply.errorCode !== 0) throw this.#failure(reply.errorCode)
  }

  /** A static member does not leave: it is expected back. */
  async leave(): Promise<void> {
    const { client, group, identity, instanceId } = this.#parts
    if (identity.memberId === '' || instanceId !== null) return
    const members = [{ memberId: identity.memberId, groupInstanceId: null }]
    identity.memberId = ''
    await client.ask(await client.coordinatorOf(group), client.library.leaveGroupV4.api, group, members)
  }

  /** @returns how many partitions each topic has that is there now */
  async countsNow(topics: Iterable<string>): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (const topic of topics) {
      try {
        counts.set(topic, (await this.#parts.client.refreshTopic(topic)).leaders.length)
      } catch (error) {
        if (!isTrunklineError(error, 'TOPIC_MISSING')) throw error
      }
    }
    return counts
  }

  /** @returns `undefined`: once more */
  async #join(): Promise<JoinReply | undefined> {
    const { client, group, topics, identity, instanceId, sessionTimeoutMs } = this.#parts
    const metadata = encodeSubscription(topics, identity.owned)
    const protocols = [ASSIGNER_NAME, ROUND_ROBIN_NAME].map((name) => ({ name, metadata }))
    const reply = await this.#askCoordinator(async (coordinator) => {
      const { joinGroupV7 } = client.library
      const limits = [sessionTimeoutMs, REBALANCE_TIMEOUT_MS] as const
      return await client.askOver(
        'joins',
        coordinator,
        joinGroupV7.api,
        group,
        ...limits,
        identity.memberId,
        instanceId,
        'consumer',
        protocols,
      )
    })
    if (reply.errorCode === 0 || reply.errorCode === code.memberIdRequired) identity.memberId = reply.memberId
    if (reply.errorCode === 0) return reply
    if (this.#mayJoinAgain(reply.errorCode)) return undefined
    throw this.#failure(reply.errorCode)
  }

  /** @returns `undefined`: join once more */
  async #sync(joined: JoinReply, counts: ReadonlyMap<string, number>): Promise<readonly TopicPartition[] | undefined> {
    const { client, group, instanceId } = this.#parts
    const { generationId, memberId, protocolName } = joined
    const shares = memberId === joined.leader ? assignPartitions(membersOf(joined), counts) : new Map<string, readonly TopicPartition[]>()
    const assignments = [...shares].map(([id, partitions]) => ({ memberId: id, assignment: encodeAssignment(partitions) }))
    const reply = await this.#askCoordinator(async (coordinator) => {
      const { syncGroupV5 } = client.library
      const member = [generationId, memberId, instanceId, 'consumer', protocolName ?? null] as const
      return await client.askOver('joins', coordinator, syncGroupV5.api, group, ...member, assignments)
    })
    if (reply.errorCode === 0) return decodeAssignment(reply.assignment)
    if (this.#mayJoinAgain(reply.errorCode)) return undefined
    throw this.#failure(reply.errorCode)
  }

  async #counts(joined: JoinReply): Promise<ReadonlyMap<string, number>> {
    return await this.countsNow(new Set(membersOf(joined).flatMap(({ topics }) => topics)))
  }

  /** After an answer of "not me", and after none, the coordinator is looked for again the next time. */
  async #askCoordinator<Reply extends { readonly errorCode: number }>(ask: (coordinator: number) => Promise<Reply>): Promise<Reply> {
    const { client, group } = this.#parts
    try {
      const reply = await ask(await client.coordinatorOf(group))
      if (coordinatorMoved.includes(reply.errorCode)) client.forgetCoordinator(group)
      return reply
    } catch (error) {
      client.forgetCoordinator(group)
      throw error
    }
  }

  #mayJoinAgain(errorCode: number): boolean {
    if (errorCode === code.unknownMember) this.#parts.identity.memberId = ''
    const again: readonly number[] = [code.memberIdRequired, code.unknownMember, code.illegalGeneration, code.rebalanceInProgress]
    return again.includes(errorCode)
  }

  #failure(errorCode: number): TrunklineError {
    const { client, group, instanceId } = this.#parts
    if (errorCode === code.fencedInstance) return instanceTaken(group, instanceId)
    return client.map(client.errorOf(errorCode))
  }
}

function membersOf({ members }: JoinReply) {
  return members.map(({ memberId, metadata }) => decodeSubscription(memberId, metadata))
}

function instanceTaken(group: string, instanceId: string | null): ConfigurationError {
  return new ConfigurationError(
    'KAFKA_INSTANCE_TAKEN',
    `Another process has joined group "${group}" as "${instanceId}" and takes the place of this one. Give each process a kafka.instanceId of its own.`,
    { group, instanceId },
  )
}
