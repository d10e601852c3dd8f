import type { ClientConfig } from 'pg'
import type {
  Acquisition,
  Backlog,
  Hold,
  Look,
  OutboxStore,
  OutboxStoreEvents,
  OutboxStoreFactory,
  Pass,
  PassResult,
  PendingRow,
  StoredHold,
  Term,
} from '../../core/outbox/outbox-store.ts'
import { TransientError } from '../../foundation/errors.ts'
import { newToken } from '../../foundation/ids.ts'
import { endsWithin } from '../../foundation/service.ts'
import { BACKLOG_COUNTED_MAX, backlogSql, readBacklogRow } from './outbox-backlog.ts'
import { ECHO, OUTBOX_CHANNEL, VACANT } from './outbox-bell.ts'
import { holdsSql, requestsSql, toHold } from './outbox-holds.ts'
import { OutboxLease } from './outbox-lease.ts'
import { readLook } from './outbox-look.ts'
import { PassReader } from './pass-reader.ts'
import { rowNames } from './row-names.ts'
import { type RawRow, SingleSession } from './single-session.ts'
import { storableText } from './storable-text.ts'

const CLOSE_DEADLINE_MS = 2_000
const ECHO_WITHIN_MS = 2_000
/** Nothing is read meanwhile. */
const SILENT_ECHO_WITHIN_MS = 250
const HOLDS_A_READ = 10_000
const REQUESTS_A_READ = 1_000

/** Opens the relay's own two connections: one reads, renews and listens, the other writes without waiting for the disk. */
export class PostgresOutboxStoreFactory implements OutboxStoreFactory {
  readonly #connection: ClientConfig
  readonly #archiveMs: number | undefined

  /** @param options.archiveMs how long messages are kept after Kafka acknowledged them; `undefined`: they are deleted */
  constructor(connection: ClientConfig, options: { readonly archiveMs?: number | undefined } = {}) {
    this.#connection = connection
    this.#archiveMs = options.archiveMs
  }

  async open(events: OutboxStoreEvents): Promise<OutboxStore> {
    const reader = await SingleSession.open(this.#connection, 'trunkline relay', events.onLost)
    try {
      const writer = await SingleSession.open(this.#connection, 'trunkline relay writer', events.onLost)
      return new PostgresOutboxStore({ reader, writer, archiveMs: this.#archiveMs }, events)
    } catch (error) {
      await reader.close(CLOSE_DEADLINE_MS)
      throw error
    }
  }
}

interface OutboxStoreParts {
  readonly reader: SingleSession
  readonly writer: SingleSession
  readonly archiveMs: number | undefined
}

class PostgresOutboxStore implements OutboxStore {
  readonly #reader: SingleSession
  readonly #writer: SingleSession
  readonly #archiveMs: number | undefined
  readonly #lease: OutboxLease
  readonly #passes: PassReader
  readonly #listening: Promise<void>
  /** What it said to itself and has not heard yet. */
  readonly #echoes = new Map<string, () => void>()

  constructor(parts: OutboxStoreParts, events: OutboxStoreEvents) {
    const { reader, writer, archiveMs } = parts
    this.#reader = reader
    this.#lease = new OutboxLease(reader)
    this.#passes = new PassReader(reader)
    this.#writer = writer
    this.#archiveMs = archiveMs
    this.#listening = reader.listen(OUTBOX_CHANNEL, (said) => {
      if (said.startsWith(ECHO)) this.#echoes.get(said)?.()
      else if (said === VACANT) events.onVacant()
      else events.onCalled()
    })
    this.#listening.catch(() => undefined)
  }

  acquire(owner: string, leaseMs: number): Promise<Acquisition> {
    return this.#lease.acquire(owner, leaseMs)
  }

  renew(term: Term, leaseMs: number, floor: bigint): Promise<boolean> {
    return this.#lease.renew(term, leaseMs, floor)
  }

  release(term: Term): Promise<void> {
    return this.#lease.release(term)
  }

  fetchPending(term: Term, pass: Pass): Promise<PassResult | undefined> {
    return this.#passes.read(term, pass)
  }

  look(term: Term, withinMs: number): Promise<Look | undefined> {
    return readLook(this.#reader, term, withinMs)
  }

  async remove(term: Term, rows: readonly PendingRow[]): Promise<bigint | undefined> {
    const sql = this.#archiveMs === undefined ? removeSql : archiveSql
    const [row] = await this.#writer.ask(sql, [term.owner, term.epoch, ...rowNames(rows)])
    return row?.[0] === 't' ? BigInt(row[1] ?? 0) : undefined
  }

  async tendArchive(): Promise<void> {
    if (this.#archiveMs === undefined) return
    await this.#writer.ask("select trunkline.tend_outbox_archive($1::bigint * interval '1 millisecond')", [this.#archiveMs])
  }

  async newTransactionId(): Promise<bigint> {
    const [row] = await this.#writer.ask('select pg_current_xact_id()::text')
    return BigInt(row?.[0] ?? 0)
  }

  async holds(term: Term): Promise<readonly StoredHold[] | undefined> {
    const holds: StoredHold[] = []
    for (let after: string | null | undefined = '0'; typeof after === 'string'; ) {
      const rows: RawRow[] = await this.#writer.ask(holdsSql, [term.owner, term.epoch, after, HOLDS_A_READ])
      if (!isMine(rows)) return undefined
      for (const row of rows) if (row[1] !== null) holds.push(toHold(row))
      after = rows.at(-1)?.[8]
    }
    return holds
  }

  async requests(term: Term): Promise<readonly StoredHold[] | undefined> {
    const rows = await this.#writer.ask(requestsSql, [term.owner, term.epoch, REQUESTS_A_READ])
    return isMine(rows) ? rows.filter((row) => row[1] !== null).map(toHold) : undefined
  }

  async hold(term: Term, hold: Hold): Promise<boolean> {
    const { topic, key, headSeq, headId, reasonCode, reason } = hold
    const values = [term.owner, term.epoch, topic, key, headSeq, headId, storableText(reasonCode), storableText(reason)]
    return isMine(await this.#writer.ask(holdSql, values))
  }

  async unhold(term: Term, { headId }: StoredHold, act: 'redrive' | 'discard'): Promise<boolean> {
    return isMine(await this.#writer.ask(unholdSql, [term.owner, term.epoch, headId, act === 'discard']))
  }

  async moveDue(term: Term, limit: number) {
    const [row] = await this.#writer.ask(moveDueSql, [term.owner, term.epoch, limit])
    if (row?.[0] !== 't') return undefined
    const [moved, next] = [Number(row[1]), row[2] ?? null]
    if (moved === limit) return { moved, nextInMs: 0 }
    return { moved, nextInMs: next === null ? undefined : Math.max(0, Math.ceil(Number(next))) }
  }

  async partitionsOf(term: Term, topic: string, actual: number): Promise<number | undefined> {
    const [row] = await this.#writer.ask(partitionsSql, [term.owner, term.epoch, topic, actual])
    return row?.[0] === 't' ? Number(row[1]) : undefined
  }

  async readBacklog(floor: bigint, withinMs: number): Promise<Backlog> {
    let backlog: Backlog | undefined
    await this.#writer.askWithin(backlogSql, [floor, BACKLOG_COUNTED_MAX + 1], withinMs, (row) => {
      backlog = readBacklogRow(row)
    })
    if (backlog === undefined) throw new TransientError('DATABASE_UNAVAILABLE', 'The server gave no answer to a question that has one.')
    return backlog
  }

  async hears(): Promise<boolean> {
    await this.#listening
    if (await this.#reader.isDirect()) return await this.#hearsItself(ECHO_WITHIN_MS)
    // What was said in a session that a pooler lends out may come to whoever asks there next: to us, while we ask all the
    // time, and to nobody when we rest. Only what comes to a silent connection is heard.
    return await this.#reader.whileSilent(() => this.#hearsItself(SILENT_ECHO_WITHIN_MS))
  }

  async #hearsItself(withinMs: number): Promise<boolean> {
    const echo = `${ECHO}${newToken()}`
    const heard = new Promise<void>((resolve) => this.#echoes.set(echo, resolve))
    await this.#writer.ask('select pg_notify($1, $2)', [OUTBOX_CHANNEL, echo])
    const inTime = await endsWithin(heard, withinMs)
    this.#echoes.delete(echo)
    return inTime
  }

  async close(): Promise<void> {
    await Promise.all([this.#reader.close(CLOSE_DEADLINE_MS), this.#writer.close(CLOSE_DEADLINE_MS)])
  }
}

function isMine(rows: readonly RawRow[]): boolean {
  return rows[0]?.[0] === 't'
}

// What every write begins with: it waits for no disk, because a crash that takes it back means at most that messages
// are sent again, and the inbox knows them; and it locks the lease, so that nobody can take over beside it. The
// settings end with the statement: behind a transaction pooler the session is not ours.
const leaseSql = `
  quick as materialized (
    select set_config('synchronous_commit', 'off', true) as commits, set_config('lock_timeout', '20s', true) as waits
  ), lease as materialized (
    select 1 from trunkline.outbox_lease as own, quick
     where own.shard = 0 and own.owner = $1 and own.epoch = $2 and quick.commits is not null and quick.waits is not null
       for share of own
  )`

const removeSql = `
  with ${leaseSql}, removed as (
    delete from trunkline.outbox as o
     using unnest($3::bigint[], $4::uuid[]) as acked (seq, id)
     where o.seq = acked.seq and o.id = acked.id and exists (select from lease)
  )
  select exists (select from lease) as mine, pg_current_xact_id()::text as transaction_id`

// One time for the whole statement: within it the numbers tell the order.
const archiveSql = `
  with ${leaseSql}, removed as (
    delete from trunkline.outbox as o
     using unnest($3::bigint[], $4::uuid[]) as acked (seq, id)
     where o.seq = acked.seq and o.id = acked.id and exists (select from lease)
    returning o.seq, o.bucket, o.key_hash, o.topic, o.id, o.key, o.value, o.headers, o.created_at
  ), archived as (
    insert into trunkline.outbox_archive (published_at, seq, bucket, key_hash, topic, id, key, value, headers, created_at)
    select (select trunkline.now()), * from removed
  )
  select exists (select from lease) as mine, pg_current_xact_id()::text as transaction_id`

const holdSql = `
  with ${leaseSql}, held as (
    insert into trunkline.outbox_held_key (topic, key, head_seq, head_id, reason_code, reason)
    select $3, $4::bytea, $5::bigint, $6::uuid, $7, $8 from lease
    on conflict do nothing
  )
  select exists (select from lease) as mine`

const unholdSql = `
  with ${leaseSql}, released as (
    delete from trunkline.outbox_held_key as held where held.head_id = $3::uuid and exists (select from lease)
    returning head_seq, head_id, reason_code, reason
  ), discarded as (
    delete from trunkline.outbox as o using released
     where $4::boolean and o.seq = released.head_seq and o.id = released.head_id
    returning o.id, o.topic, o.key, o.value, o.headers, o.created_at, released.reason_code, released.reason
  ), kept as (
    insert into trunkline.outbox_discarded (id, topic, key, value, headers, created_at, reason_code, reason)
    select * from discarded on conflict do nothing
  )
  select exists (select from lease) as mine`

// The order in which they are due is the order of their new numbers.
const moveDueSql = `
  with ${leaseSql}, due as (
    delete from trunkline.outbox_scheduled
     where exists (select from lease)
       and seq = any (array(
             select seq from trunkline.outbox_scheduled
              where due_at <= (select trunkline.now()) order by due_at, seq limit $3))
    returning seq, due_at, bucket, key_hash, topic, id, key, value, headers
  ), moved as (
    insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
    select bucket, key_hash, topic, id, key, value, headers from due order by due_at, seq
    returning seq
  )
  select exists (select from lease) as mine,
         (select count(*) from moved) as moved,
         (select extract(epoch from min(due_at) - trunkline.now()) * 1000
            from trunkline.outbox_scheduled where due_at > (select trunkline.now())) as next_in_ms`

const partitionsSql = `
  with ${leaseSql}, stored as (
    insert into trunkline.topic (name, partitions) select $3, $4::int from lease
    on conflict (name) do nothing
    returning partitions
  )
  select exists (select from lease) as mine,
         coalesce((select partitions from stored), (select partitions from trunkline.topic where name = $3)) as partitions`
