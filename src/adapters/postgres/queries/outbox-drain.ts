import type { Queryable } from '../../../core/database/database.ts'

/** What is left of the rows up to a number. */
export interface Drain {
  /** The last number that was given out. */
  readonly last: bigint
  /** Rows that the relay will send without a person's help; counted up to 100,000. */
  readonly sendable: number
  /** Rows of held keys, counted up to 100,000. */
  readonly held: number
}

/** @param upTo `undefined`: all rows */
export async function readDrain(database: Queryable, upTo: bigint | undefined): Promise<Drain> {
  const { rows } = await database.query(drainSql, [upTo ?? null])
  const row = rows[0] ?? {}
  return { last: BigInt(row['last']), sendable: Number(row['sendable']), held: Number(row['held']) }
}

const drainSql = `
  with left_over as (
    select exists (
             select from trunkline.outbox_held_key as held
              where held.topic = o.topic and (held.key = o.key or held.head_seq = o.seq)) as held
      from trunkline.outbox as o
     where $1::bigint is null or o.seq <= $1
     limit 100000
  )
  select (select last_value - (not is_called)::int from trunkline.outbox_seq_seq) as last,
         (select count(*) from left_over where not held) as sendable,
         (select count(*) from left_over where held) as held`
