import type { Database, Queryable } from '../../../core/database/database.ts'
import type { AuditLog } from '../../../core/failures/audit.ts'

/** A key whose first message Kafka refused: its messages wait in the outbox for a person. */
export interface HeldKey {
  readonly topic: string
  /** As text; what is no text is shown in hexadecimal digits, after `\x`. `null`: a message without a key. */
  readonly key: string | null
  /** The message that was refused. */
  readonly messageId: string
  readonly messageBytes: number
  readonly reasonCode: string
  readonly reason: string
  readonly heldMs: number
  /** Messages of the key that wait, the refused one included. */
  readonly waiting: number
  /** What a person has asked for and the relay has not done yet. */
  readonly request: 'redrive' | 'discard' | null
}

/** Which held keys are meant; a criterion that is left out fits all. */
export interface HeldKeySelection {
  readonly topic?: string
  readonly key?: string
  readonly messageId?: string
}

/** @returns the held keys that fit, the longest held first; at most 1,000 */
export async function readHeldKeys(database: Queryable, selection: HeldKeySelection): Promise<readonly HeldKey[]> {
  const { rows } = await database.query(heldSql, [selection.topic ?? null, selection.key ?? null, selection.messageId ?? null])
  return rows.map((row) => ({
    topic: String(row['topic']),
    key: row['key'] === null ? null : shownKey(row['key']),
    messageId: String(row['head_id']),
    messageBytes: Number(row['message_bytes'] ?? 0),
    reasonCode: String(row['reason_code']),
    reason: String(row['reason']),
    heldMs: Number(row['held_ms']),
    waiting: Number(row['waiting']),
    request: row['request'],
  }))
}

export interface Act {
  readonly verb: 'redrive' | 'discard'
  readonly actor: string
  readonly reason: string
}

/**
 * Asks the relay to send the keys' messages again, or to take their first message out of the outbox. It does so within
 * a second, or when one runs. The request and its audit are one transaction.
 *
 * @returns the ids of those that were still held by the message that was seen; the others have moved on
 */
export async function requestHeldKeys<Tx>(
  parts: { readonly database: Database<Tx>; readonly audit: AuditLog<Tx> },
  keys: readonly HeldKey[],
  act: Act,
): Promise<readonly string[]> {
  const { database, audit } = parts
  return await database.transaction(async (tx) => {
    const { rows } = await database.queryable(tx).query(requestSql, [keys.map(({ messageId }) => messageId), act.verb])
    const asked = new Set(rows.map((row) => String(row['head_id'])))
    const entries = keys.filter(({ messageId }) => asked.has(messageId))
    await audit.record(
      tx,
      entries.map(({ topic, messageId, reasonCode, waiting }) => ({
        actor: act.actor,
        act: `outbox ${act.verb}`,
        subject: `outbox ${topic}`,
        reason: act.reason,
        details: { messageId, reasonCode, waiting },
      })),
    )
    return [...asked]
  })
}

/** Keys are bytes; people see text where it is one. */
function shownKey(key: Buffer): string {
  const text = key.toString('utf8')
  return Buffer.from(text, 'utf8').equals(key) ? text : `\\x${key.toString('hex')}`
}

const heldSql = `
  select held.topic, held.key, held.head_id, held.reason_code, held.reason, held.request,
         extract(epoch from trunkline.now() - held.held_at) * 1000 as held_ms,
         (select coalesce(octet_length(head.key), 0) + coalesce(octet_length(head.value), 0) + octet_length(head.headers)
            from trunkline.outbox as head where head.seq = held.head_seq) as message_bytes,
         case when held.key is null then 1
              else (select count(*) from trunkline.outbox as o where o.topic = held.topic and o.key = held.key and o.seq >= held.head_seq) end as waiting
    from trunkline.outbox_held_key as held
   where ($1::text is null or held.topic = $1)
     and ($2::text is null or held.key = convert_to($2, 'utf8'))
     and ($3::uuid is null or held.head_id = $3)
   order by held.id
   limit 1000`

const requestSql = `
  update trunkline.outbox_held_key
     set request = $2, requested_at = trunkline.now()
   where head_id = any ($1::uuid[])
  returning head_id`
