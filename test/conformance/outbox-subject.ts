import { randomUUID } from 'node:crypto'
import { packHeaders, unpackHeaders } from '../../src/core/broker/header-bytes.ts'
import { positiveHash } from '../../src/core/broker/partitioner.ts'
import type { Database } from '../../src/core/database/database.ts'
import type {
  Hold,
  OutboxAppender,
  OutboxRow,
  OutboxStore,
  OutboxStoreEvents,
  Pass,
  PassResult,
  PendingRow,
  Term,
} from '../../src/core/outbox/outbox-store.ts'

export interface OutboxSubject<Tx> {
  readonly database: Database<Tx>
  readonly appender: OutboxAppender<Tx>
  /** Opens another set of connections, as another process would; they close with the test. */
  open(events?: Partial<OutboxStoreEvents>): Promise<OutboxStore>
}

export type Begin<Tx> = () => Promise<OutboxSubject<Tx>>

export const leaseMs = 30_000

const wholeTable: Pass = {
  after: 0n,
  upTo: 1_000_000n,
  limit: 100,
  bytesMax: 1_000_000,
  withinMs: 30_000,
  inFlight: [],
  only: undefined,
  without: [],
  held: [],
  assumedRunning: [],
  namesRunningBelow: undefined,
}

/** A row for the topic; the topic's name is what tells rows apart. */
export function row(topic: string, more: Partial<OutboxRow> = {}): OutboxRow {
  const id = randomUUID()
  const routing = more.key ?? Buffer.from(id)
  return {
    id,
    topic,
    key: routing,
    value: Buffer.from(topic),
    headers: packHeaders([]),
    keyHash: positiveHash(routing),
    bucket: 0,
    ...more,
  }
}

export async function append<Tx>({ database, appender }: OutboxSubject<Tx>, rows: readonly OutboxRow[]): Promise<string> {
  return await database.transaction((tx) => appender.append(tx, rows, 'ours'))
}

export async function termOf(store: OutboxStore, ms = leaseMs): Promise<Term> {
  const { term } = await store.acquire('one', ms)
  if (term === undefined) throw new Error('The lease is taken.')
  return term
}

/** A store whose owner is in office. */
export async function owner<Tx>(subject: OutboxSubject<Tx>) {
  const store = await subject.open()
  const term = await termOf(store)
  const read = async (pass: Partial<Pass> = {}): Promise<PassResult> => {
    const result = await store.fetchPending(term, { ...wholeTable, ...pass })
    if (result === undefined) throw new Error('The term is over.')
    return result
  }
  const rows = async (pass: Partial<Pass> = {}): Promise<readonly PendingRow[]> => (await read(pass)).rows
  const topics = async (pass: Partial<Pass> = {}): Promise<string[]> => (await rows(pass)).map(({ topic }) => topic)
  return { store, term, read, rows, topics }
}

/** Ends this owner's term without its knowledge. */
export async function takeOver<Tx>(subject: OutboxSubject<Tx>): Promise<void> {
  await subject.database.outside.query("update trunkline.outbox_lease set owner = 'somebody else', epoch = epoch + 1")
}

export async function fetchAll(store: OutboxStore, term: Term): Promise<PassResult | undefined> {
  return await store.fetchPending(term, wholeTable)
}

export function holdOf({ topic, key, seq, id }: PendingRow): Hold {
  return { topic, key, headSeq: seq, headId: id, reasonCode: 'TOO_LARGE', reason: 'It is too large.' }
}

/** The only row there is, whoever is in office. */
export async function onlyRow<Tx>(subject: OutboxSubject<Tx>): Promise<PendingRow> {
  const { rows } = await subject.database.outside.query('select seq, id, topic, key, value, headers, key_hash from trunkline.outbox')
  const [found] = rows
  if (found === undefined || rows.length > 1) throw new Error(`There are ${rows.length} rows.`)
  const { seq, id, topic, key, value, headers, key_hash: keyHash } = found
  return {
    seq: BigInt(seq),
    id,
    topic,
    key,
    value,
    headers: unpackHeaders(headers),
    keyHash,
    timestampMs: 0,
    size: 0,
    release: () => undefined,
  }
}
