import type { StoredHold } from '../../core/outbox/outbox-store.ts'
import type { RawRow } from './single-session.ts'

/** A row of {@link holdsSql} or {@link requestsSql} that tells of a hold. */
export function toHold([, topic, key, headSeq, headId, reasonCode, reason, request]: RawRow): StoredHold {
  return {
    topic: topic ?? '',
    key: key === null || key === undefined ? null : Buffer.from(key.slice(2), 'hex'),
    headSeq: BigInt(headSeq ?? 0),
    headId: headId ?? '',
    reasonCode: reasonCode ?? '',
    reason: reason ?? '',
    request: request === 'redrive' || request === 'discard' ? request : undefined,
  }
}

// By pages: a hold that was not loaded would let its key pass.
export const holdsSql = `
  select (lease.owner = $1 and lease.epoch = $2) is true as mine,
         held.topic, held.key, held.head_seq, held.head_id, held.reason_code, held.reason, held.request, held.id
    from trunkline.outbox_lease as lease
    left join trunkline.outbox_held_key as held on held.id > $3::bigint
   where lease.shard = 0
   order by held.id
   limit $4`

export const requestsSql = `
  select (lease.owner = $1 and lease.epoch = $2) is true as mine,
         held.topic, held.key, held.head_seq, held.head_id, held.reason_code, held.reason, held.request
    from trunkline.outbox_lease as lease
    left join trunkline.outbox_held_key as held on held.request is not null
   where lease.shard = 0
   order by held.id
   limit $3`
