import type { GroupPartition, Position, PositionStore, Started } from '../../core/consume/position-store.ts'
import type { Database, Queryable, QueryResult } from '../../core/database/database.ts'

export class PostgresPositionStore<Tx> implements PositionStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async take(place: GroupPartition, start: { offset: bigint; topicId: string | null }): Promise<Position> {
    const { group, topic, partition } = place
    const { rows } = await this.#database.outside.query(takeSql, [group, topic, partition, start.offset, start.topicId])
    return toPosition(rows[0] ?? {})
  }

  async look({ group, topic, partition }: GroupPartition): Promise<Position | undefined> {
    const { rows } = await this.#database.outside.query(lookSql, [group, topic, partition])
    return rows[0] === undefined ? undefined : toPosition(rows[0])
  }

  async mark(
    { group, topic, partition }: GroupPartition,
    epoch: bigint,
    { to, by }: Started,
    durable: boolean,
    alone: Queryable = this.#database.outside,
  ): Promise<boolean> {
    const { rowCount } = await alone.query(markSql, [group, topic, partition, epoch, to, by, durable], 'often')
    return rowCount === 1
  }

  async unmark({ group, topic, partition }: GroupPartition, by: string): Promise<void> {
    await this.#database.outside.query(unmarkSql, [group, topic, partition, by])
  }

  async leave({ group, topic, partition }: GroupPartition, epoch: bigint, by: string): Promise<void> {
    await this.#database.outside.query(leaveSql, [group, topic, partition, by, epoch])
  }

  async suspect({ group, topic, partition }: GroupPartition, epoch: bigint, to: bigint): Promise<boolean> {
    const { rowCount } = await this.#database.outside.query(suspectSql, [group, topic, partition, epoch, to])
    return rowCount === 1
  }

  async reset(place: GroupPartition, epoch: bigint, start: { offset: bigint; topicId: string | null }): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.outside.query(resetSql, [group, topic, partition, epoch, start.offset, start.topicId])
    return rowCount === 1
  }

  async advance(tx: Tx, place: GroupPartition, epoch: bigint, from: bigint, to: bigint): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.queryable(tx).query(advanceSql, [group, topic, partition, epoch, from, to], 'often')
    return rowCount === 1
  }

  async holds(tx: Tx, place: GroupPartition, epoch: bigint): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.queryable(tx).query(holdsSql, [group, topic, partition, epoch], 'often')
    return rowCount === 1
  }

  async follow(place: GroupPartition, epoch: bigint, from: bigint, to: bigint): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.outside.query(advanceSql, [group, topic, partition, epoch, from, to], 'often')
    return rowCount === 1
  }
}

function toPosition(row: QueryResult['rows'][number]): Position {
  const { started_to: to, started_by: by, suspect_to: suspectTo } = row
  return {
    epoch: BigInt(row['epoch']),
    nextOffset: BigInt(row['next_offset']),
    topicId: row['topic_id'] ?? null,
    started: to === null || by === null ? null : { to: BigInt(to), by },
    suspectTo: suspectTo === null ? null : BigInt(suspectTo),
  }
}

const takeSql = `
  insert into trunkline.consumer_position as held (consumer_group, topic, partition, epoch, next_offset, topic_id)
  values ($1, $2, $3, 1, $4, $5)
  on conflict (consumer_group, topic, partition) do update set epoch = held.epoch + 1
  returning epoch, next_offset, topic_id, started_to, started_by, suspect_to`

const lookSql = `
  select epoch, next_offset, topic_id, started_to, started_by, suspect_to
    from trunkline.consumer_position
   where consumer_group = $1 and topic = $2 and partition = $3`

// Not worth a flush: only a crash of the database itself forgets it, and that is nobody's message's fault.
const markSql = `
  update trunkline.consumer_position
     set started_to = $5, started_by = $6
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4
     and set_config('synchronous_commit', case when $7 then current_setting('synchronous_commit') else 'off' end, true) is not null`

const unmarkSql = `
  update trunkline.consumer_position
     set started_to = null, started_by = null
   where consumer_group = $1 and topic = $2 and partition = $3 and started_by = $4`

// What somebody else had begun stays noted: its next owner judges it.
const leaveSql = `
  update trunkline.consumer_position
     set epoch = epoch + (epoch = $5)::int,
         started_to = case when started_by = $4 then null else started_to end,
         started_by = nullif(started_by, $4)
   where consumer_group = $1 and topic = $2 and partition = $3 and (epoch = $5 or started_by = $4)`

const suspectSql = `
  update trunkline.consumer_position
     set suspect_to = $5, started_to = null, started_by = null
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4`

const resetSql = `
  update trunkline.consumer_position
     set next_offset = $5, topic_id = $6, started_to = null, started_by = null, suspect_to = null
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4`

// "next_offset = $5" catches a database that was set back under a living owner, and a late transaction of the same epoch.
const advanceSql = `
  update trunkline.consumer_position
     set next_offset = $6,
         started_to = case when started_to > $6 then started_to end,
         started_by = case when started_to > $6 then started_by end,
         suspect_to = case when suspect_to > $6 then suspect_to end
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4 and next_offset = $5`

const holdsSql = `
  select from trunkline.consumer_position
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4`
