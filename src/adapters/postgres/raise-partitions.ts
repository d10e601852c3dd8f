import type { Database } from '../../core/database/database.ts'
import type { AuditLog } from '../../core/failures/audit.ts'
import { StuckError } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'
import { OUTBOX_CHANNEL, VACANT } from './outbox-bell.ts'

export interface RaiseParts<Tx> {
  readonly database: Database<Tx>
  readonly audit: AuditLog<Tx>
}

export interface RaiseRequest {
  readonly topic: string
  readonly from: number
  readonly to: number
  readonly actor: string
  readonly reason: string
  /** Demands that nobody has anything of the topic left to do. Called while no relay of the service sends. */
  readonly demandQuiet: () => Promise<void>
  /** Changes the topic in Kafka; not called when it has as many already. */
  readonly change: () => Promise<void>
}

/** Long enough for Kafka to make partitions; if this process dies, relays wait so long. */
const LEASE_MS = 60_000

/**
 * Gives a topic of a service more partitions, so that no message of a key overtakes an earlier one: the relay's lease is
 * taken, all groups have read everything and hold no key, the topic is changed, and with the new count go the positions
 * of known groups in the new partitions, at their start, so that none of them can begin at the end.
 *
 * A crash after the change leaves the old count stored: the relay hashes with it as before, and the same again finishes it.
 *
 * @throws StuckError `RELAY_IN_OFFICE` a relay runs, or what `demandQuiet` throws; nothing was changed
 */
export async function raisePartitions<Tx>({ database, audit }: RaiseParts<Tx>, request: RaiseRequest): Promise<void> {
  const owner = `topic apply ${newToken()}`
  const { rows } = await database.outside.query(takeLeaseSql, [owner, LEASE_MS])
  const [taken] = rows
  if (taken === undefined) throw relayInOffice(request.topic)
  try {
    await request.demandQuiet()
    await request.change()
    await database.transaction(async (tx) => {
      const client = database.queryable(tx)
      const held = await client.query(holdLeaseSql, [owner, taken['epoch']])
      if (held.rows.length === 0) throw leaseLost(request.topic)
      await client.query(storeSql, [request.topic, request.to])
      await client.query(positionsSql, [request.topic, request.from, request.to])
      const { actor, reason, topic, from, to } = request
      await audit.record(tx, [{ actor, act: 'topic raise', subject: topic, reason, details: { from, to } }])
    })
  } finally {
    await database.outside.query(releaseLeaseSql, [owner, taken['epoch']])
  }
}

const takeLeaseSql = `
  update trunkline.outbox_lease
     set owner = $1, epoch = epoch + 1, expires_at = trunkline.now() + $2::int * interval '1 millisecond'
   where shard = 0 and (owner is null or expires_at <= trunkline.now())
  returning epoch`

const holdLeaseSql = `
  select epoch from trunkline.outbox_lease
   where shard = 0 and owner = $1 and epoch = $2 and expires_at > trunkline.now() for share`

const releaseLeaseSql = `
  with released as (
    update trunkline.outbox_lease set owner = null, expires_at = '-infinity'
     where shard = 0 and owner = $1 and epoch = $2
    returning epoch
  )
  select pg_notify('${OUTBOX_CHANNEL}', '${VACANT}') from released`

const storeSql = `
  insert into trunkline.topic (name, partitions) values ($1, $2)
  on conflict (name) do update set partitions = excluded.partitions, stored_at = trunkline.now()`

const positionsSql = `
  insert into trunkline.consumer_position (consumer_group, topic, partition, topic_id, epoch, next_offset)
  select known.consumer_group, $1, partition, known.topic_id, 0, 0
    from (select consumer_group, max(topic_id) as topic_id from trunkline.consumer_position where topic = $1 group by consumer_group) as known
   cross join generate_series($2::int, $3::int - 1) as partition
  on conflict (consumer_group, topic, partition) do nothing`

function relayInOffice(topic: string): StuckError {
  return new StuckError(
    'RELAY_IN_OFFICE',
    `A relay of this service is in office, so the partitions of "${topic}" cannot be raised: it would send by the old count. Stop every process that runs the relay (start({ run: ['consume', 'timers'] }), or scale to zero), and try again. Nothing was changed.`,
    { topic },
  )
}

function leaseLost(topic: string): StuckError {
  return new StuckError(
    'LEASE_LOST',
    `Kafka took longer to change "${topic}" than the relay's lease lasts, so the new count was not stored. Run the same command again.`,
    { topic },
  )
}
