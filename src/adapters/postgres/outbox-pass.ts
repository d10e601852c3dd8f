import type { Pass, PassResult, PendingRow, Section, Term } from '../../core/outbox/outbox-store.ts'

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

/**
 * @param told what the first line of the answer carries
 * @returns `undefined` when the term is over
 */
export function toPassResult(told: string, rows: readonly PendingRow[], pass: Pass): PassResult | undefined {
  const facts: { mine: boolean; last: number | string; oldest: string; holds: boolean; running: readonly string[] } = JSON.parse(told)
  if (facts.mine !== true) return undefined
  let bytes = 0
  for (const row of rows) bytes += row.size
  return {
    rows,
    limited: rows.length >= pass.limit || bytes >= pass.bytesMax,
    lastNumber: BigInt(facts.last),
    oldestRunning: BigInt(facts.oldest),
    assumptionHolds: facts.holds,
    running: facts.running.map(BigInt),
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

// As PendingRow.size counts. The length of a large value is known without reading it.
const sizeSql = '(coalesce(octet_length(o.key), 0) + coalesce(octet_length(o.value), 0) + octet_length(o.headers) + 64)'

// One statement, so one snapshot: the rows; the proof that the lease was still mine when they were seen (a frozen owner
// that wakes up must not act on a check it made before); and what the snapshot says about transactions that are not over.
// The first line carries the facts in its topic, the others are a row each. The cases keep what is rarely needed from being looked at.
export const passSql = `
  with lease as materialized (
    select (owner = $1 and epoch = $2 and expires_at > trunkline.now()) is true as mine from trunkline.outbox_lease where shard = 0
  )
  select json_build_object(
           'mine', lease.mine,
           'last', (select (last_value - (not is_called)::int)::text from trunkline.outbox_seq_seq),
           'oldest', pg_snapshot_xmin(pg_current_snapshot())::text,
           'holds', $21::xid8[] <@ array(select pg_snapshot_xip(pg_current_snapshot())),
           'running', array(select running::text from pg_snapshot_xip(pg_current_snapshot()) as running where running < $22::xid8)
         )::text as topic,
         0::bigint as seq, 0 as key_hash, 'epoch'::timestamptz as created_at, '00000000-0000-0000-0000-000000000000'::uuid as id,
         null::bytea as key, null::bytea as value, ''::bytea as headers
    from lease
   union all
  select head.topic, head.seq, head.key_hash, head.created_at, head.id, head.key, head.value, head.headers
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
