import type { Queryable } from '../../../core/database/database.ts'

/** Where a group stands in a partition, and of which topic that was. */
export interface ReadPosition {
  readonly group: string
  readonly partition: number
  readonly next: bigint
  /** `null` where the driver did not know it. */
  readonly topicId: string | null
}

/** What a service's database remembers of a topic. */
export interface TopicRecord {
  /** The count with which its keys are hashed; `undefined` where the service never published to it. */
  readonly hashedWith: number | undefined
  readonly positions: readonly ReadPosition[]
  /** Keys of it that wait in some group. */
  readonly parkedKeys: number
}

export async function readTopicRecord(database: Queryable, topic: string): Promise<TopicRecord> {
  const { rows } = await database.query(recordSql, [topic])
  const positions = await database.query(positionsSql, [topic])
  return {
    hashedWith: rows[0]?.['hashed_with'] ?? undefined,
    parkedKeys: Number(rows[0]?.['parked_keys'] ?? 0),
    positions: positions.rows.map((row) => ({
      group: String(row['consumer_group']),
      partition: Number(row['partition']),
      next: BigInt(row['next_offset']),
      topicId: row['topic_id'],
    })),
  }
}

const recordSql = `
  select (select partitions from trunkline.topic where name = $1) as hashed_with,
         (select count(*) from trunkline.parked_key where topic = $1) as parked_keys`

const positionsSql = `
  select consumer_group, partition, next_offset, topic_id
    from trunkline.consumer_position where topic = $1 order by consumer_group, partition`
