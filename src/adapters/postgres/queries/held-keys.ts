import type { Database, Queryable, QueryResult } from '../../../core/database/database.ts'
import type { AuditLog } from '../../../core/failures/audit.ts'

const HELD_A_READ = 1_000
/** Waiting messages are counted for people, who want an answer, not a scan of everything. */
const WAITING_SEEN_MAX = 1_000_000

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
  /** Messages of the key that wait, the refused one included, as far as they are among the first million of the outbox. */
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
  return (await readHeldKeysBetween(database, selection, { after: '0', upTo: null })).keys
}

/** How many held keys fit, and the last of them. */
export interface HeldKeyCount {
  readonly count: number
  readonly last: string
}

export async function countHeldKeys(database: Queryable, selection: HeldKeySelection): Promise<HeldKeyCount> {
  const { rows } = await database.query(countSql, valuesOf(selection))
  return { count: Number(rows[0]?.['count'] ?? 0), last: String(rows[0]?.['last'] ?? '0') }
}

/** Reads all of them, 1,000 at a time; a key that is held after they were counted is not among them. */
export async function* readAllHeldKeys(
  database: Queryable,
  selection: HeldKeySelection,
  { last }: HeldKeyCount,
): AsyncGenerator<readonly HeldKey[]> {
  for (let after: string | undefined = '0'; after !== undefined; ) {
    const { keys, at } = await readHeldKeysBetween(database, selection, { after, upTo: last })
    if (keys.length > 0) yield keys
    after = at
  }
}

async function readHeldKeysBetween(
  database: Queryable,
  selection: HeldKeySelection,
  { after, upTo }: { readonly after: string; readonly upTo: string | null },
): Promise<{ keys: readonly HeldKey[]; at: string | undefined }> {
  const { rows } = await database.query(heldSql, [...valuesOf(selection), after, upTo, HELD_A_READ])
  return { keys: rows.map(toHeldKey), at: rows.length < HELD_A_READ ? undefined : String(rows.at(-1)?.['id']) }
}

function valuesOf({ topic, key, messageId }: HeldKeySelection): unknown[] {
  return [topic ?? null, key ?? null, messageId ?? null]
}

function toHeldKey(row: QueryResult['rows'][number]): HeldKey {
  return {
    topic: String(row['topic']),
    key: row['key'] === null ? null : shownKey(row['key']),
    messageId: String(row['head_id']),
    messageBytes: Number(row['message_bytes'] ?? 0),
    reasonCode: String(row['reason_code']),
    reason: String(row['reason']),
    heldMs: Number(row['held_ms']),
    waiting: Number(row['waiting']),
    request: row['request'],
  }
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

// The outbox is looked through once, not once for each key: it has no index by key.
const heldSql = `
  with held as materialized (
    select * from trunkline.outbox_held_key as held
     where ($1::text is null or held.topic = $1)
       and ($2::text is null or held.key = convert_to($2, 'utf8'))
       and ($3::uuid is null or held.head_id = $3)
       and held.id > $4::bigint and ($5::bigint is null or held.id <= $5)
     order by held.id
     limit $6
  )
  select held.id, held.topic, held.key, held.head_id, held.reason_code, held.reason, held.request,
         extract(epoch from trunkline.now() - held.held_at) * 1000 as held_ms,
         (select coalesce(octet_length(head.key), 0) + coalesce(octet_length(head.value), 0) + octet_length(head.headers)
            from trunkline.outbox as head where head.seq = held.head_seq) as message_bytes,
         case when held.key is null then 1 else coalesce(behind.waiting, 0) end as waiting
    from held
    left join (
      select held.id, count(*) as waiting
        from held
        join (
          select o.seq, o.topic, o.key from trunkline.outbox as o
           where o.seq >= (select min(head_seq) from held) order by o.seq limit ${WAITING_SEEN_MAX}
        ) as o on o.topic = held.topic and o.key = held.key and o.seq >= held.head_seq
       group by held.id
    ) as behind on behind.id = held.id
   order by held.id`

const countSql = `
  select count(*) as count, max(held.id)::text as last
    from trunkline.outbox_held_key as held
   where ($1::text is null or held.topic = $1)
     and ($2::text is null or held.key = convert_to($2, 'utf8'))
     and ($3::uuid is null or held.head_id = $3)`

const requestSql = `
  update trunkline.outbox_held_key
     set request = $2, requested_at = trunkline.now()
   where head_id = any ($1::uuid[])
  returning head_id`
