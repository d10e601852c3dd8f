import type { FetchReply } from '../../wire/fetch-response.ts'

/** UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. */
const staleLeader = new Set([3, 5, 6, 74, 75])

/**
 * Removes: when one partition's leader has moved, kafkajs throws away what the reply holds of all others, and joins the
 * group again: each member does so, and each makes the whole group stop and share out anew. A rolling restart of three
 * brokers is a storm of rebalances.
 *
 * Here the partition's part is taken out of the reply, and the leaders are asked for before the next fetch.
 */
export function takeStaleLeaders(reply: FetchReply): { readonly reply: FetchReply; readonly isStale: boolean } {
  let isStale = false
  const responses = reply.responses.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map((each) => {
      if (!staleLeader.has(each.errorCode)) return each
      isStale = true
      return { ...each, errorCode: 0 }
    }),
  }))
  return { reply: { ...reply, responses }, isStale }
}
