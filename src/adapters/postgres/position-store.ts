import type { GroupPartition, Position, PositionStore } from '../../core/consume/position-store.ts'
import type { Database } from '../../core/database/database.ts'

export class PostgresPositionStore<Tx> implements PositionStore<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async take(place: GroupPartition, start: { offset: bigint; topicId: string | null }): Promise<Position> {
    const { group, topic, partition } = place
    const { rows } = await this.#database.outside.query(takeSql, [group, topic, partition, start.offset, start.topicId])
    const row = rows[0]
    return { epoch: BigInt(row?.['epoch']), nextOffset: BigInt(row?.['next_offset']), topicId: row?.['topic_id'] ?? null }
  }

  async reset(place: GroupPartition, epoch: bigint, start: { offset: bigint; topicId: string | null }): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.outside.query(resetSql, [group, topic, partition, epoch, start.offset, start.topicId])
    return rowCount === 1
  }

  async advance(tx: Tx, place: GroupPartition, epoch: bigint, from: bigint, to: bigint): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.queryable(tx).query(advanceSql, [group, topic, partition, epoch, from, to])
    return rowCount === 1
  }

  async holds(tx: Tx, place: GroupPartition, epoch: bigint): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.queryable(tx).query(holdsSql, [group, topic, partition, epoch])
    return rowCount === 1
  }

  async follow(place: GroupPartition, epoch: bigint, from: bigint, to: bigint): Promise<boolean> {
    const { group, topic, partition } = place
    const { rowCount } = await this.#database.outside.query(advanceSql, [group, topic, partition, epoch, from, to])
    return rowCount === 1
  }
}

const takeSql = `
  insert into trunkline.consumer_position as held (consumer_group, topic, partition, epoch, next_offset, topic_id)
  values ($1, $2, $3, 1, $4, $5)
  on conflict (consumer_group, topic, partition) do update set epoch = held.epoch + 1
  returning epoch, next_offset, topic_id`

const resetSql = `
  update trunkline.consumer_position
     set next_offset = $5, topic_id = $6
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4`

// "next_offset = $5" catches a database that was set back under a living owner, and a late transaction of the same epoch.
const advanceSql = `
  update trunkline.consumer_position
     set next_offset = $6
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4 and next_offset = $5`

const holdsSql = `
  select from trunkline.consumer_position
   where consumer_group = $1 and topic = $2 and partition = $3 and epoch = $4`
