import { Client, type ClientConfig, type QueryConfig } from 'pg'
import type { Database } from '../../core/database/database.ts'
import type { OutboxAppender, OutboxRow, OutboxStore, OutboxStoreFactory, Pass, PendingRow, Term } from '../../core/outbox/outbox-store.ts'
import { endsWithin } from '../../foundation/service.ts'
import { mapDatabaseError } from './errors.ts'

const CLOSE_DEADLINE_MS = 2_000
const CONNECT_TIMEOUT_MS = 5_000
/** The server ends a statement after 30 s and says so; a connection that is silent for longer is lost. */
const ANSWER_TIMEOUT_MS = 35_000

/** The write side: one statement in somebody's transaction. */
export class PostgresOutboxAppender<Tx> implements OutboxAppender<Tx> {
  readonly #database: Database<Tx>

  constructor(database: Database<Tx>) {
    this.#database = database
  }

  async append(tx: Tx, rows: readonly OutboxRow[]): Promise<string> {
    const result = await this.#database
      .queryable(tx)
      .query(appendSql, [
        rows.map((row) => row.bucket),
        rows.map((row) => row.keyHash),
        rows.map((row) => row.topic),
        rows.map((row) => row.id),
        rows.map((row) => row.key),
        rows.map((row) => row.value),
        rows.map((row) => row.headers),
      ])
    return String(result.rows[0]?.['transaction_id'])
  }
}

// A session with synchronous_commit off could lose the commit in a crash of Postgres after the message was sent:
// measured, 40 of 40 messages told of transactions that never were. The insert raises the setting for its transaction.
const appendSql = `
  with raised as materialized (
    select case current_setting('synchronous_commit')
             when 'off' then set_config('synchronous_commit', 'on', true) else 'kept' end as setting
  ), appended as (
    insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
    select r.bucket, r.key_hash, r.topic, r.id, r.key, r.value, r.headers
      from raised, unnest($1::smallint[], $2::int[], $3::text[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[])
             with ordinality as r (bucket, key_hash, topic, id, key, value, headers, position)
     where raised.setting is not null
     order by r.position
    returning xid
  )
  select xid::text as transaction_id from appended limit 1`

/** Opens the relay's own two connections: one reads and renews, the other deletes without waiting for the disk. */
export class PostgresOutboxStoreFactory implements OutboxStoreFactory {
  readonly #connection: ClientConfig

  constructor(connection: ClientConfig) {
    this.#connection = connection
  }

  async open(onLost: (reason: Error) => void): Promise<OutboxStore> {
    const reader = await this.#connect('trunkline relay', onLost)
    try {
      const remover = await this.#connect('trunkline relay remover', onLost)
      // A crash forgets at most the last deletes: those messages are sent again, and the inbox knows them.
      await remover.query('set synchronous_commit = off')
      return new PostgresOutboxStore(reader, remover)
    } catch (error) {
      await reader.end().catch(() => undefined)
      throw mapDatabaseError(error, 'The relay could not open its connections')
    }
  }

  async #connect(name: string, onLost: (reason: Error) => void): Promise<Client> {
    const client = new Client({
      ...this.#connection,
      pipeline: false,
      application_name: name,
      keepAlive: true,
      // A stand-by has little to say: without probes it would learn after hours that its connection is dead.
      keepAliveInitialDelayMillis: 10_000,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
    })
    client.on('error', onLost)
    client.on('end', () => onLost(new Error('the connection ended')))
    try {
      await client.connect()
      await client.query(answeredWithin(CONNECT_TIMEOUT_MS, prepareSql))
      return client
    } catch (error) {
      await client.end().catch(() => undefined)
      throw mapDatabaseError(error, 'The relay could not connect')
    }
  }
}

/** The driver knows a limit for one statement, its types do not. */
function answeredWithin(ms: number, text: string, values: unknown[] = []): QueryConfig {
  const query = { text, values, query_timeout: ms }
  return query
}

const prepareSql = "select set_config('statement_timeout', '30s', false), set_config('tcp_user_timeout', '30s', false)"

class PostgresOutboxStore implements OutboxStore {
  readonly #reader: Client
  readonly #remover: Client
  /** The reader has one statement at a time; the driver will no longer keep a queue. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(reader: Client, remover: Client) {
    this.#reader = reader
    this.#remover = remover
  }

  async acquire(owner: string, leaseMs: number): Promise<Term | undefined> {
    const rows = await this.#read(acquireSql, [owner, leaseMs], Math.max(leaseMs, CONNECT_TIMEOUT_MS))
    return rows[0] === undefined ? undefined : { owner, epoch: BigInt(rows[0]['epoch']) }
  }

  async renew(term: Term, leaseMs: number): Promise<boolean> {
    return (await this.#read(renewSql, [term.owner, term.epoch, leaseMs], leaseMs)).length > 0
  }

  async release(term: Term): Promise<void> {
    await this.#read(releaseSql, [term.owner, term.epoch])
  }

  async fetchPending(term: Term, pass: Pass): Promise<readonly PendingRow[] | undefined> {
    const topics = pass.blocked.filter((blocked) => blocked.partition === undefined)
    const partitions = pass.blocked.filter((blocked) => blocked.partition !== undefined)
    const rows = await this.#read(fetchSql, [
      term.owner,
      term.epoch,
      pass.limit,
      pass.inFlight,
      topics.map((blocked) => blocked.topic),
      partitions.map((blocked) => blocked.topic),
      partitions.map((blocked) => blocked.partitions),
      partitions.map((blocked) => blocked.partition),
      pass.bytesMax,
    ])
    if (rows[0]?.['mine'] !== true) return undefined
    return rows.filter((row) => row['seq'] !== null).map(toPendingRow)
  }

  async remove(term: Term, rows: readonly PendingRow[]): Promise<boolean> {
    try {
      const values = [term.owner, term.epoch, rows.map((row) => row.seq), rows.map((row) => row.id)]
      const result = await this.#remover.query(removeSql, values)
      return result.rows[0]?.mine === true
    } catch (error) {
      throw mapDatabaseError(error, 'The relay could not remove what Kafka acknowledged')
    }
  }

  async partitionsOf(topic: string): Promise<number | undefined> {
    const rows = await this.#read('select partitions from trunkline.topic where name = $1', [topic])
    return rows[0]?.['partitions']
  }

  async storePartitions(topic: string, partitions: number): Promise<number> {
    await this.#read('insert into trunkline.topic (name, partitions) values ($1, $2) on conflict (name) do nothing', [topic, partitions])
    return (await this.partitionsOf(topic)) ?? partitions
  }

  async close(): Promise<void> {
    const clients = [this.#reader, this.#remover]
    const ended = Promise.allSettled(clients.map((client) => client.end()))
    // A server that cannot be reached does not say goodbye either.
    if (!(await endsWithin(ended, CLOSE_DEADLINE_MS))) for (const client of clients) client.connection.stream.destroy()
  }

  // biome-ignore lint/suspicious/noExplicitAny: rows of our own statements; each caller names the columns it selected
  async #read(text: string, values: unknown[], answerTimeoutMs = ANSWER_TIMEOUT_MS): Promise<Record<string, any>[]> {
    const answer = this.#turn.then(() => this.#reader.query(answeredWithin(answerTimeoutMs, text, values)))
    this.#turn = answer.catch(() => undefined)
    try {
      return (await answer).rows
    } catch (error) {
      throw mapDatabaseError(error, 'The relay could not read its outbox')
    }
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the columns of fetchSql
function toPendingRow(row: Record<string, any>): PendingRow {
  return {
    seq: BigInt(row['seq']),
    bucket: row['bucket'],
    keyHash: row['key_hash'],
    topic: row['topic'],
    id: row['id'],
    key: row['key'],
    value: row['value'],
    headers: row['headers'],
    createdAtMs: row['created_at_ms'],
  }
}

const acquireSql = `
  update trunkline.outbox_lease
     set owner = $1, epoch = epoch + 1, expires_at = trunkline.now() + $2::int * interval '1 millisecond'
   where shard = 0 and (owner is null or owner = $1 or expires_at <= trunkline.now())
  returning epoch`

const renewSql = `
  update trunkline.outbox_lease
     set expires_at = trunkline.now() + $3::int * interval '1 millisecond'
   where shard = 0 and owner = $1 and epoch = $2
  returning epoch`

const releaseSql = `
  update trunkline.outbox_lease
     set owner = null, expires_at = '-infinity'
   where shard = 0 and owner = $1 and epoch = $2`

// As sizeOf counts. The length of a large value is known without reading it.
const sizeSql = '(coalesce(octet_length(o.key), 0) + coalesce(octet_length(o.value), 0) + octet_length(o.headers) + 64)'

// One statement, so one snapshot: the rows and the proof that the lease was still mine when they were seen.
// A frozen owner that wakes up must not act on a check it made before.
const fetchSql = `
  select (lease.owner = $1 and lease.epoch = $2 and lease.expires_at > trunkline.now()) is true as mine, pending.*
    from trunkline.outbox_lease as lease
    left join lateral (
      select head.seq, head.bucket, head.key_hash, head.topic, head.id, head.key, head.value, head.headers,
             floor(extract(epoch from head.created_at) * 1000)::float8 as created_at_ms
        from (
          select o.*, sum(${sizeSql}) over (order by o.seq rows unbounded preceding) - ${sizeSql} as bytes_before
            from trunkline.outbox as o
           where o.seq <> all ($4::bigint[])
             and o.topic <> all ($5::text[])
             and not exists (
               select from unnest($6::text[], $7::int[], $8::int[]) as blocked (topic, partitions, partition)
                where blocked.topic = o.topic and o.key_hash % blocked.partitions = blocked.partition)
           order by o.seq
           limit $3
        ) as head
       where head.bytes_before < $9::bigint
    ) as pending on true
   where lease.shard = 0
   order by pending.seq`

const removeSql = `
  with lease as materialized (
    select 1 from trunkline.outbox_lease where shard = 0 and owner = $1 and epoch = $2 for share
  ), removed as (
    delete from trunkline.outbox as o
     using unnest($3::bigint[], $4::uuid[]) as acked (seq, id)
     where o.seq = acked.seq and o.id = acked.id and exists (select from lease)
  )
  select exists (select from lease) as mine`
