import type { Database } from '../../core/database/database.ts'
import type { ParticipantRow, ParticipantStore, StoredReply } from '../../core/saga/participant-store.ts'

export class PostgresParticipantStore<Tx> implements ParticipantStore<Tx> {
  readonly #database: Database<Tx>

  constructor(parts: { readonly database: Database<Tx> }) {
    this.#database = parts.database
  }

  async enter(tx: Tx, actionId: string, state: ParticipantRow['state']): Promise<ParticipantRow | undefined> {
    const queryable = this.#database.queryable(tx)
    const inserted = await queryable.query(insertSql, [actionId, state])
    if (inserted.rowCount > 0) return undefined
    // A new statement, because the snapshot of the insert cannot see the row that it waited for.
    const { rows } = await queryable.query(lockSql, [actionId])
    const row = rows[0]
    if (row === undefined) return undefined
    return {
      state: row['state'],
      reply: toReply(row['reply_name'], row['reply_version'], row['reply_topic'], row['reply_value']),
      compensationReply: toReply(
        row['compensation_reply_name'],
        row['compensation_reply_version'],
        row['compensation_reply_topic'],
        row['compensation_reply_value'],
      ),
    }
  }

  async keepReply(tx: Tx, actionId: string, which: 'action' | 'compensation', reply: StoredReply): Promise<void> {
    const sql = which === 'action' ? keepReplySql : keepCompensationReplySql
    await this.#database.queryable(tx).query(sql, [actionId, reply.name, reply.version, reply.topic, reply.value])
  }
}

function toReply(name: string | null, version: number, topic: string, value: Buffer): StoredReply | null {
  return name === null ? null : { name, version, topic, value }
}

const insertSql = `
  insert into trunkline.saga_participant (action_id, state) values ($1, $2)
  on conflict do nothing`

const lockSql = `
  select state, reply_name, reply_version, reply_topic, reply_value,
         compensation_reply_name, compensation_reply_version, compensation_reply_topic, compensation_reply_value
    from trunkline.saga_participant
   where action_id = $1
     for update`

const keepReplySql = `
  update trunkline.saga_participant
     set reply_name = $2, reply_version = $3, reply_topic = $4, reply_value = $5
   where action_id = $1`

const keepCompensationReplySql = `
  update trunkline.saga_participant
     set compensation_reply_name = $2, compensation_reply_version = $3, compensation_reply_topic = $4, compensation_reply_value = $5
   where action_id = $1`
