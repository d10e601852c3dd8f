import type { Queryable } from '../../../core/database/database.ts'

/** A consumer group as its database knows it. */
export interface GroupSummary {
  readonly group: string
  readonly partitions: number
  /** Messages that wait for a retry, or behind one that does. */
  readonly parked: number
  readonly dead: number
  /** Processes that are alive and consume it; of those, in which nothing of it runs because it is paused. */
  readonly processes: number
  readonly pausedProcesses: number
  readonly pause: { readonly at: Date; readonly by: string; readonly reason: string } | null
}

/** Where a group stands in one partition. */
export interface GroupPosition {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly next: bigint
}

/** Every group that has read something, handles something, or is consumed by a process now; by name. */
export async function readGroups(database: Queryable): Promise<readonly GroupSummary[]> {
  const { rows } = await database.query(groupsSql)
  return rows.map((row) => ({
    group: row['group'],
    partitions: Number(row['partitions']),
    parked: Number(row['parked']),
    dead: Number(row['dead']),
    processes: Number(row['processes']),
    pausedProcesses: Number(row['paused_processes']),
    pause: row['paused_at'] === null ? null : { at: new Date(row['paused_at']), by: row['paused_by'], reason: row['reason'] },
  }))
}

/** Where groups stand, by topic and partition; all of them when none is named. */
export async function readPositions(database: Queryable, group: string | null): Promise<readonly GroupPosition[]> {
  const { rows } = await database.query(positionsSql, [group])
  return rows.map((row) => ({ group: row['group'], topic: row['topic'], partition: row['partition'], next: BigInt(row['next_offset']) }))
}

const groupsSql = `
  with alive as (
    select unnest(groups) as consumer_group, groups, paused from trunkline.process where expires_at > trunkline.now()
  ), known as (
    select consumer_group from trunkline.consumer_position
    union select consumer_group from trunkline.group_handles
    union select consumer_group from trunkline.group_pause
    union select consumer_group from alive
  )
  select known.consumer_group as "group",
         (select count(*) from trunkline.consumer_position as c where c.consumer_group = known.consumer_group) as partitions,
         (select count(*) from trunkline.parked_message as m where m.consumer_group = known.consumer_group and m.state = 'waiting') as parked,
         (select count(*) from trunkline.parked_message as m where m.consumer_group = known.consumer_group and m.state = 'dead') as dead,
         (select count(*) from alive as a where a.consumer_group = known.consumer_group) as processes,
         (select count(*) from alive as a where a.consumer_group = known.consumer_group and a.consumer_group = any (a.paused)) as paused_processes,
         pause.paused_at, pause.paused_by, pause.reason
    from known
    left join trunkline.group_pause as pause using (consumer_group)
   order by known.consumer_group`

const positionsSql = `
  select consumer_group as "group", topic, partition, next_offset::text
    from trunkline.consumer_position
   where $1::text is null or consumer_group = $1
   order by consumer_group, topic, partition`
