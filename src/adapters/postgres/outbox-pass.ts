import { type Pass, type PassResult, type PendingRow, type Section, sizeOf, type Term } from '../../core/outbox/outbox-store.ts'
import type { RawRow } from './single-session.ts'

/** @returns the parameters of {@link passSql} */
export function passValues(term: Term, pass: Pass): unknown[] {
  const only = lists(pass.only ?? [])
  const without = lists(pass.without)
  return [
    term.owner,
    term.epoch,
    pass.after,
    pass.upTo,
    pass.limit,
    pass.bytesMax,
    numbers(pass.inFlight),
    pass.held.length > 0,
    pass.held.map(({ topic }) => topic),
    pass.held.map(({ key }) => key),
    without.topics,
    without.hasLanes,
    ...without.lanes,
    pass.only !== undefined,
    only.topics,
    ...only.lanes,
    numbers(pass.assumedRunning),
    pass.namesRunningBelow ?? null,
  ]
}

/** @returns `undefined` when the term is over */
export function toPassResult([head, ...rest]: readonly RawRow[], pass: Pass): PassResult | undefined {
  const facts: { mine: boolean; last: number | string; oldest: string; holds: boolean; running: readonly string[] } = JSON.parse(
    head?.[1] ?? '{}',
  )
  if (facts.mine !== true) return undefined
  const rows = rest.map(toPendingRow)
  let bytes = 0
  for (const row of rows) bytes += sizeOf(row)
  return {
    rows,
    limited: rows.length >= pass.limit || bytes >= pass.bytesMax,
    lastNumber: BigInt(facts.last),
    oldestRunning: BigInt(facts.oldest),
    assumptionHolds: facts.holds,
    running: facts.running.map(BigInt),
  }
}

/** Key, value and headers come in one piece: taken apart here, they cost a third of three. */
function toPendingRow([seq, topic, id, keyHash, createdAtMs, keyLength, valueLength, text]: RawRow): PendingRow {
  // As PostgreSQL writes bytes: \x and two digits for each.
  const bytes = Buffer.from((text ?? '').slice(2), 'hex')
  const keyEnd = Number(keyLength ?? 0)
  const valueEnd = keyEnd + Number(valueLength ?? 0)
  return {
    seq: BigInt(seq ?? 0),
    topic: topic ?? '',
    id: id ?? '',
    keyHash: Number(keyHash),
    createdAtMs: Number(createdAtMs),
    key: keyLength === null ? null : bytes.subarray(0, keyEnd),
    value: valueLength === null ? null : bytes.subarray(keyEnd, valueEnd),
    headers: bytes.subarray(valueEnd),
  }
}

function lists(sections: readonly Section[]) {
  const lanes = sections.filter(({ partition }) => partition !== undefined)
  return {
    topics: sections.filter(({ partition }) => partition === undefined).map(({ topic }) => topic),
    hasLanes: lanes.length > 0,
    lanes: [lanes.map(({ topic }) => topic), lanes.map(({ partitions }) => partitions), lanes.map(({ partition }) => partition)],
  }
}

/** An array as PostgreSQL reads it; the driver's own would quote each number. */
function numbers(list: readonly bigint[]): string {
  return `{${list.join(',')}}`
}

// As sizeOf counts. The length of a large value is known without reading it.
const sizeSql = '(coalesce(octet_length(o.key), 0) + coalesce(octet_length(o.value), 0) + octet_length(o.headers) + 64)'

// One statement, so one snapshot: the rows; the proof that the lease was still mine when they were seen (a frozen owner
// that wakes up must not act on a check it made before); and what the snapshot says about transactions that are not over.
// The first line carries the facts, the others a row each. The cases keep what is rarely needed from being looked at.
export const passSql = `
  with lease as materialized (
    select (owner = $1 and epoch = $2 and expires_at > trunkline.now()) is true as mine from trunkline.outbox_lease where shard = 0
  )
  select 0::bigint as seq,
         json_build_object(
           'mine', lease.mine,
           'last', (select (last_value - (not is_called)::int)::text from trunkline.outbox_seq_seq),
           'oldest', pg_snapshot_xmin(pg_current_snapshot())::text,
           'holds', $21::xid8[] <@ array(select pg_snapshot_xip(pg_current_snapshot())),
           'running', array(select running::text from pg_snapshot_xip(pg_current_snapshot()) as running where running < $22::xid8)
         )::text as topic,
         null::uuid as id, 0 as key_hash, 0::bigint as created_at_ms,
         null::int as key_length, null::int as value_length, null::bytea as bytes
    from lease
   union all
  select head.seq, head.topic, head.id, head.key_hash, (extract(epoch from head.created_at) * 1000)::bigint,
         octet_length(head.key), octet_length(head.value), coalesce(head.key, '') || coalesce(head.value, '') || head.headers
    from (
      select o.*, sum(${sizeSql}) over (order by o.seq rows unbounded preceding) - ${sizeSql} as bytes_before
        from trunkline.outbox as o
       where (select mine from lease)
         and o.seq > $3::bigint and o.seq <= $4::bigint
         and o.seq not in (select unnest($7::bigint[]))
         and o.topic <> all ($11::text[])
         and case when $8::boolean
               then ((o.topic, o.key) in (select * from unnest($9::text[], $10::bytea[]))) is not true
               else true end
         and case when $12::boolean
               then not exists (
                 select from unnest($13::text[], $14::int[], $15::int[]) as lane (topic, partitions, partition)
                  where lane.topic = o.topic and o.key_hash % lane.partitions = lane.partition)
               else true end
         and case when $16::boolean
               then o.topic = any ($17::text[]) or exists (
                 select from unnest($18::text[], $19::int[], $20::int[]) as lane (topic, partitions, partition)
                  where lane.topic = o.topic and o.key_hash % lane.partitions = lane.partition)
               else true end
       order by o.seq
       limit $5
    ) as head
   where head.bytes_before < $6::bigint`
