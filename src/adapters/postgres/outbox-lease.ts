import type { Acquisition, Term } from '../../core/outbox/outbox-store.ts'
import { OUTBOX_CHANNEL, VACANT } from './outbox-bell.ts'
import type { SingleSession } from './single-session.ts'

const ACQUIRE_ANSWER_MS = 5_000

/** The row that says who is in office, on the clock of the database. */
export class OutboxLease {
  readonly #session: SingleSession

  constructor(session: SingleSession) {
    this.#session = session
  }

  async acquire(owner: string, leaseMs: number): Promise<Acquisition> {
    const [row] = await this.#session.ask(acquireSql, [owner, leaseMs], Math.max(leaseMs, ACQUIRE_ANSWER_MS))
    const [epoch, heldForMs] = [row?.[0] ?? null, row?.[1] ?? null]
    if (epoch !== null) return { term: { owner, epoch: BigInt(epoch) }, heldForMs: 0 }
    return { term: undefined, heldForMs: heldForMs === null ? leaseMs : Math.max(0, Math.ceil(Number(heldForMs))) }
  }

  async renew({ owner, epoch }: Term, leaseMs: number, floor: bigint): Promise<boolean> {
    return (await this.#session.ask(renewSql, [owner, epoch, leaseMs, floor], leaseMs)).length > 0
  }

  async release({ owner, epoch }: Term): Promise<void> {
    await this.#session.ask(releaseSql, [owner, epoch])
  }
}

// Who was released has no time that could be subtracted from.
const acquireSql = `
  with acquired as (
    update trunkline.outbox_lease
       set owner = $1, epoch = epoch + 1, expires_at = trunkline.now() + $2::int * interval '1 millisecond'
     where shard = 0 and (owner is null or owner = $1 or expires_at <= trunkline.now())
    returning epoch
  )
  select (select epoch from acquired) as epoch,
         (select extract(epoch from greatest(expires_at, trunkline.now()) - trunkline.now()) * 1000
            from trunkline.outbox_lease where shard = 0) as held_for_ms`

const renewSql = `
  update trunkline.outbox_lease
     set expires_at = trunkline.now() + $3::int * interval '1 millisecond', floor = $4
   where shard = 0 and owner = $1 and epoch = $2
  returning epoch`

const releaseSql = `
  with released as (
    update trunkline.outbox_lease set owner = null, expires_at = '-infinity'
     where shard = 0 and owner = $1 and epoch = $2
    returning epoch
  )
  select pg_notify('${OUTBOX_CHANNEL}', '${VACANT}') from released`
