import type { Unsettled, Upcoming } from '../../adapters/postgres/queries/unsettled.ts'

/** Who reads what, as the backbone has it. */
export interface GroupTopics {
  readonly group: string
  readonly topics: readonly string[]
}

export interface PartitionEnd {
  readonly partition: number
  readonly end: bigint
  readonly read: boolean
}

/** How long ahead is brought forward: only what will happen by itself, or timers and scheduled messages too. */
export type Forward = 'retries' | 'timers'

export interface Restlessness {
  /** What is still to be done, in words; empty when it is quiet. */
  readonly reasons: readonly string[]
  /** When time alone stands in the way: how far to move it. */
  readonly waitMs: number | undefined
}

/**
 * Says whether a service has anything left to do.
 *
 * @param ends read after `unsettled`: a message that is not in the outbox any more is in its topic
 */
export function restlessness(
  unsettled: Unsettled,
  groups: readonly GroupTopics[],
  ends: ReadonlyMap<string, readonly PartitionEnd[]>,
  forward: Forward,
): Restlessness {
  const { unsent, retries, timers, scheduled } = unsettled
  const busy = [
    ...(unsent > 0 ? [`${unsent} messages in the outbox have not reached their topics`] : []),
    ...[...ends].flatMap(([topic, partitions]) =>
      partitions.filter(({ read }) => !read).map(({ partition }) => `${topic}/${partition} is being read`),
    ),
    ...groups.flatMap((group) => behind(unsettled, group, ends)),
    ...due('parked keys', retries),
    ...due('saga timers', timers),
    ...due('scheduled messages', scheduled),
  ]
  const ahead = [retries, ...(forward === 'timers' ? [timers, scheduled] : [])].flatMap(({ nextInMs }) => nextInMs ?? [])
  if (busy.length > 0 || ahead.length === 0) return { reasons: busy, waitMs: undefined }
  const waiting = [retries, timers, scheduled].map(({ count }) => count)
  return {
    reasons: [`${waiting[0]} parked keys, ${waiting[1]} saga timers and ${waiting[2]} scheduled messages wait for their time`],
    waitMs: Math.max(0, Math.min(...ahead)),
  }
}

function due(what: string, { count, nextInMs }: Upcoming): string[] {
  return nextInMs !== undefined && nextInMs <= 0 ? [`${what} are due (${count} wait)`] : []
}

function behind({ positions }: Unsettled, { group, topics }: GroupTopics, ends: ReadonlyMap<string, readonly PartitionEnd[]>): string[] {
  return topics.flatMap((topic) =>
    (ends.get(topic) ?? []).flatMap(({ partition, end }) => {
      const position = positions.find((one) => one.group === group && one.topic === topic && one.partition === partition)
      if (position === undefined) return [`group "${group}" has not begun to read ${topic}/${partition}`]
      return position.next < end ? [`group "${group}" is at offset ${position.next} of ${end} in ${topic}/${partition}`] : []
    }),
  )
}
