import type { Database, Queryable } from '../../../core/database/database.ts'
import type { AuditLog } from '../../../core/failures/audit.ts'

/** Which archived messages are meant; a criterion that is left out fits all. */
export interface ArchiveSelection {
  /** When Kafka acknowledged them: from, inclusive, to, exclusive. */
  readonly from?: Date
  readonly to?: Date
  readonly topic?: string
  readonly key?: string
  readonly messageId?: string
}

export interface ArchivedTopic {
  readonly topic: string
  readonly messages: number
  readonly first: Date
  readonly last: Date
}

export interface ArchiveAct {
  readonly actor: string
  readonly reason: string
  readonly limit: number
}

/** @returns what fits, by topic; at most `limit` + 1 messages are counted */
export async function readArchived(database: Queryable, selection: ArchiveSelection, limit: number): Promise<readonly ArchivedTopic[]> {
  const { rows } = await database.query(countSql, [...valuesOf(selection), limit + 1])
  return rows.map((row) => ({
    topic: String(row['topic']),
    messages: Number(row['messages']),
    first: new Date(row['first']),
    last: new Date(row['last']),
  }))
}

/**
 * Puts archived messages into the outbox again, with their ids, in the order in which they were published, and with the
 * audit of it in one transaction. They stay in the archive.
 *
 * @returns how many
 */
export async function redriveArchived<Tx>(
  parts: { readonly database: Database<Tx>; readonly audit: AuditLog<Tx> },
  selection: ArchiveSelection,
  act: ArchiveAct,
): Promise<number> {
  const { database, audit } = parts
  return await database.transaction(async (tx) => {
    const { rows } = await database.queryable(tx).query(redriveSql, [...valuesOf(selection), act.limit])
    const messages = Number(rows[0]?.['messages'])
    const details = {
      messages,
      from: selection.from?.toISOString() ?? null,
      to: selection.to?.toISOString() ?? null,
      topic: selection.topic ?? null,
      key: selection.key ?? null,
      messageId: selection.messageId ?? null,
    }
    await audit.record(tx, [
      {
        actor: act.actor,
        act: 'outbox redrive --from-archive',
        subject: `outbox ${selection.topic ?? 'archive'}`,
        reason: act.reason,
        details,
      },
    ])
    return messages
  })
}

function valuesOf({ from, to, topic, key, messageId }: ArchiveSelection): unknown[] {
  return [from?.toISOString() ?? null, to?.toISOString() ?? null, topic ?? null, key ?? null, messageId ?? null]
}

const selectedSql = `
  where ($1::timestamptz is null or published_at >= $1)
    and ($2::timestamptz is null or published_at < $2)
    and ($3::text is null or topic = $3)
    and ($4::text is null or key = convert_to($4, 'utf8'))
    and ($5::uuid is null or id = $5)`

const countSql = `
  select topic, count(*) as messages, min(published_at) as first, max(published_at) as last
    from (select topic, published_at from trunkline.outbox_archive ${selectedSql} limit $6) as fitting
   group by topic order by topic`

const redriveSql = `
  with again as (
    insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
    select bucket, key_hash, topic, id, key, value, headers from trunkline.outbox_archive ${selectedSql}
     order by published_at, seq
     limit $6
    returning 1
  )
  select count(*) as messages from again`
