import type { Queryable } from '../../../core/database/database.ts'

/** Where a group stands in one partition. */
export interface GroupPosition {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly next: bigint
}

/** What a service's database says is still to be done, all as of one moment. */
export interface Unsettled {
  /** Messages in the outbox that the relay will send without a person's help. */
  readonly unsent: number
  readonly positions: readonly GroupPosition[]
  /** Keys that wait for a retry, not those that a dead letter holds. */
  readonly retries: Upcoming
  readonly timers: Upcoming
  /** Messages published for later. */
  readonly scheduled: Upcoming
  readonly deadLetters: readonly DeadLetter[]
}

export interface Upcoming {
  readonly count: number
  /** Milliseconds until the first is due, negative when it is late; `undefined` when there is none. */
  readonly nextInMs: number | undefined
}

export interface DeadLetter {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly attempts: number
  readonly reasonCode: string
  readonly reason: string
}

/** Reads what is still to be done, by one statement and so in one snapshot. */
export async function readUnsettled(database: Queryable): Promise<Unsettled> {
  const { rows } = await database.query(unsettledSql)
  const row = rows[0] ?? {}
  return {
    unsent: Number(row['unsent']),
    positions: positionsIn(row['positions']),
    retries: upcoming(row['retries'], row['retry_in_ms']),
    timers: upcoming(row['timers'], row['timer_in_ms']),
    scheduled: upcoming(row['scheduled'], row['scheduled_in_ms']),
    deadLetters: deadLettersIn(row['dead_letters']),
  }
}

function upcoming(count: unknown, nextInMs: unknown): Upcoming {
  return { count: Number(count), nextInMs: nextInMs === null ? undefined : Number(nextInMs) }
}

function positionsIn(rows: readonly (readonly [string, string, number, string])[]): readonly GroupPosition[] {
  return rows.map(([group, topic, partition, next]) => ({ group, topic, partition, next: BigInt(next) }))
}

function deadLettersIn(rows: readonly (readonly [string, string, number, string, number, string, string])[]): readonly DeadLetter[] {
  return rows.map(([group, topic, partition, offset, attempts, reasonCode, reason]) => ({
    group,
    topic,
    partition,
    offset: BigInt(offset),
    attempts,
    reasonCode,
    reason,
  }))
}

const DEAD_LETTERS_MAX = 100

const unsettledSql = `
  select (select count(*) from trunkline.outbox as o
           where not exists (select from trunkline.outbox_held_key as h where h.topic = o.topic and h.key is not distinct from o.key)) as unsent,
         (select coalesce(json_agg(json_build_array(consumer_group, topic, partition, next_offset::text)), '[]')
            from trunkline.consumer_position) as positions,
         retry.count as retries, retry.in_ms as retry_in_ms,
         timer.count as timers, timer.in_ms as timer_in_ms,
         later.count as scheduled, later.in_ms as scheduled_in_ms,
         (select coalesce(json_agg(json_build_array(consumer_group, topic, partition, record_offset::text, attempts,
                                                    coalesce(reason_code, ''), coalesce(reason, '')) order by seq), '[]')
            from (select * from trunkline.parked_message where state = 'dead' order by seq limit ${DEAD_LETTERS_MAX}) as dead) as dead_letters
    from (select count(*), extract(epoch from min(k.due) - trunkline.now()) * 1000 as in_ms
            from trunkline.parked_key as k
            cross join lateral (
              select state from trunkline.parked_message as m
               where m.consumer_group = k.consumer_group and m.key_topic = k.topic and m.key_hash = k.key_hash
               order by m.seq limit 1) as head
           where head.state = 'waiting' and k.due < 'infinity') as retry,
         (select count(*), extract(epoch from min(due_at) - trunkline.now()) * 1000 as in_ms from trunkline.saga_timer) as timer,
         (select count(*), extract(epoch from min(due_at) - trunkline.now()) * 1000 as in_ms from trunkline.outbox_scheduled) as later`
