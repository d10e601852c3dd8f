import { Client } from 'pg'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import type { TransactionSource } from '../../src/adapters/orm/transaction-source.ts'
import { PostgresSagaStore } from '../../src/adapters/postgres/saga-store.ts'
import { backboneOptions } from '../../src/config.ts'
import type { DiagnosticCatalogue } from '../../src/core/diagnostics.ts'
import type { SagaChange } from '../../src/core/saga/saga-store.ts'
import { instanceId } from '../../src/core/saga/transition.ts'
import { systemClock } from '../../src/foundation/clock.ts'
import { Diagnostics } from '../../src/foundation/diagnostics.ts'
import { parseOptions } from '../../src/foundation/options.ts'
import { type Backbone, createBackbone, MemoryLog } from '../../src/index.ts'
import { buildDatabase } from '../../src/wiring/database.ts'
import { silentLogger } from '../../src/wiring/logger.ts'
import type { DatabaseParts } from '../../src/wiring/parts.ts'
import { countedOn } from '../kit/contracts.ts'
import { createTestDatabase } from '../kit/database.ts'
import { PostgresProxy } from '../kit/postgres-proxy.ts'
import { until, Witness } from '../kit/wait.ts'

/** One database library, connected to a database that has a table `orders (id, note)`. */
export interface Library<Tx extends object> {
  readonly source: TransactionSource<Tx>
  /** What is not a transaction, but could be taken for one. */
  readonly connection: object
  /** A write of the library's own. */
  insert(tx: Tx, id: string, note?: string): Promise<unknown>
  /** A transaction that the user opens without the backbone. */
  transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>
  /** The library's own savepoint; `undefined` where it has none inside such a transaction. */
  nested?(tx: Tx, work: (inner: Tx) => Promise<void>): Promise<void>
  close(): Promise<void>
}

export type Connect<Tx extends object> = (url: string) => Promise<Library<Tx>>

const Counted = countedOn('orders')
const message = (key: string, note = '') => Counted({ key, version: 1, note })

interface Opened<Tx extends object> {
  readonly library: Library<Tx>
  readonly backbone: Backbone<Tx>
  readonly url: string
  /** What stands in the outbox, and which orders there are. */
  kept(): Promise<{ messages: string[]; orders: string[] }>
  query(text: string): Promise<Record<string, unknown>[]>
}

/** A database with a table, and a library that is connected to it. */
interface Room<Tx extends object> {
  readonly url: string
  readonly client: Client
  readonly library: Library<Tx>
}

/** @param through for the library alone: a proxy in front of the database */
async function makeRoom<Tx extends object>(connect: Connect<Tx>, url: string, through = url): Promise<Room<Tx>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('create table orders (id text primary key, note text not null)')
  return { url, client, library: await connect(through) }
}

async function leave<Tx extends object>(room: Room<Tx> | undefined): Promise<void> {
  await room?.library.close()
  await room?.client.end()
}

async function open<Tx extends object>({ client, url, library }: Room<Tx>): Promise<Opened<Tx>> {
  await client.query(emptySql)
  const log = new MemoryLog()
  const backbone = createBackbone({
    service: 'shop',
    kafka: { driver: 'memory', log },
    database: library.source,
    lockTimeout: '300ms',
    logger: false,
  })
  onTestFinished(() => backbone.stop())
  const query = async (text: string): Promise<Record<string, unknown>[]> => (await client.query(text)).rows
  const kept = async () => ({
    messages: (await query("select convert_from(key, 'utf8') as key from trunkline.outbox order by seq")).map((row) => String(row['key'])),
    orders: (await query('select id from orders order by id')).map((row) => String(row['id'])),
  })
  return { library, backbone, url, kept, query }
}

const emptySql = `
  truncate orders, trunkline.outbox, trunkline.inbox, trunkline.parked_message, trunkline.parked_key,
           trunkline.consumer_position, trunkline.saga_instance, trunkline.saga_history, trunkline.saga_timer`

/** The promises of {@link TransactionSource}, and what the backbone makes of them. */
export function transactionSourceConformance<Tx extends object>(name: string, connect: Connect<Tx>): void {
  // One database for all tests of a library: a new one for each would take longer than the tests.
  let room: Room<Tx> | undefined
  const opened = async (): Promise<Opened<Tx>> => {
    room ??= await makeRoom(connect, (await createTestDatabase()).url)
    return await open(room)
  }
  afterAll(() => leave(room))

  committing(name, opened)
  refusing(name, opened, connect)
  handling(name, opened)
  losing(name, connect)
  limiting(name, connect)
}

function limiting<Tx extends object>(name: string, connect: Connect<Tx>): void {
  test(`${name}: a transaction is read committed and has our limits, whatever the database's defaults are`, async () => {
    const { url } = await createTestDatabase()
    const client = new Client({ connectionString: url })
    await client.connect()
    const database = client.escapeIdentifier(new URL(url).pathname.slice(1))
    await client.query(`alter database ${database} set default_transaction_isolation = 'serializable'`)
    await client.query(`alter database ${database} set lock_timeout = '1h'`)
    await client.end()
    const room = await makeRoom(connect, url)
    onTestFinished(() => leave(room))
    const { backbone, library } = await open(room)

    const rows = await backbone.transaction(async (tx) => (await library.source.query(tx, limitsSql, [])).rows)

    expect(rows).toEqual([{ isolation: 'read committed', lock: '300ms', idle: '1min' }])
  })
}

const limitsSql = `
  select current_setting('transaction_isolation') as isolation, current_setting('lock_timeout') as lock,
         current_setting('idle_in_transaction_session_timeout') as idle`

function committing<Tx extends object>(name: string, open: () => Promise<Opened<Tx>>): void {
  test(`${name}: what is written and published is kept together`, async () => {
    const { library, backbone, kept } = await open()

    const result = await backbone.transaction(async (tx) => {
      await library.insert(tx, 'o-1')
      await backbone.publish(tx, [message('o-1'), message('o-2')])
      await backbone.publish(tx, message('o-3'))
      return 'done'
    })

    expect(result).toBe('done')
    expect(await kept()).toEqual({ messages: ['o-1', 'o-2', 'o-3'], orders: ['o-1'] })
  })

  test(`${name}: an error undoes both, and arrives as it was thrown`, async () => {
    const { library, backbone, kept } = await open()
    const error = new Error('no more apples')

    const work = backbone.transaction(async (tx) => {
      await library.insert(tx, 'o-1')
      await backbone.publish(tx, message('o-1'))
      throw error
    })

    await expect(work).rejects.toBe(error)
    expect(await kept()).toEqual({ messages: [], orders: [] })
  })

  test(`${name}: a message that nobody awaited is committed too`, async () => {
    const { backbone, kept } = await open()

    await backbone.transaction(async (tx) => {
      void backbone.publish(tx, message('o-1'))
    })

    expect((await kept()).messages).toEqual(['o-1'])
  })

  test(`${name}: a savepoint of the library's that rolls back takes its messages with it`, async ({ skip }) => {
    const { library, backbone, kept } = await open()
    const { nested: savepoint } = library
    if (savepoint === undefined) return skip('Kysely has savepoints only in controlled transactions, which nobody but their user opens')

    await backbone.transaction(async (tx) => {
      await backbone.publish(tx, message('before'))
      const inner = savepoint(tx, async (nested) => {
        await library.insert(nested, 'o-1')
        await backbone.publish(nested, message('inside'))
        await backbone.publish(tx, message('inside, by the outer name'))
        throw new Error('undo')
      })
      await inner.catch(() => undefined)
      await backbone.publish(tx, message('after'))
    })

    expect(await kept()).toEqual({ messages: ['before', 'after'], orders: [] })
  })

  test(`${name}: in a transaction of the user's own the message shares its end`, async () => {
    const { library, backbone, kept } = await open()

    await library.transaction(async (tx) => {
      await library.insert(tx, 'o-1')
      await backbone.publish(tx, message('o-1'))
    })
    const undone = library.transaction(async (tx) => {
      await backbone.publish(tx, message('o-2'))
      throw new Error('undo')
    })

    await expect(undone).rejects.toThrow('undo')
    expect(await kept()).toEqual({ messages: ['o-1'], orders: ['o-1'] })
  })

  test(`${name}: bytes, arrays and large numbers pass through its statements unharmed`, async () => {
    const { library } = await open()
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    const values = [bytes.toString('base64'), '{"\\\\x00ff22","\\\\x7b2c5c"}', '{"a,b","c\\"d","{}","null",null,""}', '9007199254740993']

    const { rows } = await library.source.transaction(async (tx) => await library.source.query(tx, echoSql, values), 10_000)

    const row = rows[0] ?? {}
    expect(Buffer.from(row['bytes'])).toEqual(bytes)
    expect(row['list']).toBe('00ff22 7b2c5c')
    expect(row['texts']).toBe('[a,b] [c"d] [{}] [null] [] 6')
    expect(String(row['large'])).toBe('9007199254740993')
  })

  test(`${name}: the server's count of rows arrives, with and without rows`, async () => {
    const { library } = await open()

    const counts = await library.source.transaction(async (tx) => {
      const inserted = await library.source.query(tx, insertThreeSql, [])
      const updated = await library.source.query(tx, "update orders set note = $1 where id <> 'a' returning id", ['new'])
      const nothing = await library.source.query(tx, "delete from orders where id = 'none'", [])
      return [inserted.rowCount, updated.rowCount, updated.rows.length, nothing.rowCount]
    }, 10_000)

    expect(counts).toEqual([3, 2, 2, 0])
  })
}

const insertThreeSql = "insert into orders (id, note) values ('a', ''), ('b', ''), ('c', '')"

const echoSql = `
  select decode($1, 'base64') as bytes,
         (select string_agg(encode(one, 'hex'), ' ') from unnest($2::bytea[]) as one) as list,
         (select string_agg('[' || one || ']', ' ') from unnest($3::text[]) as one) || ' ' || cardinality($3::text[]) as texts,
         $4::bigint as large`

function refusing<Tx extends object>(name: string, open: () => Promise<Opened<Tx>>, connect: Connect<Tx>): void {
  test(`${name}: a message outside a transaction is refused, whatever stands in its place`, async () => {
    const { library, backbone, kept, url } = await open()
    const other = await connect(url)
    onTestFinished(() => other.close())
    let ended: Tx | undefined
    await backbone.transaction(async (tx) => {
      ended = tx
    })

    const tries = [library.connection, {}, { query: () => undefined }, ended].map(async (place) => {
      // What a program without types, or with a cast, might do.
      await backbone.publish(place as Tx, message('lost'))
    })
    const ofAnother = other.transaction((tx) => backbone.publish(tx, message('lost')))

    for (const outcome of await Promise.allSettled([...tries, ofAnother])) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'PermanentError' } })
    }
    expect((await kept()).messages).toEqual([])
  })

  test(`${name}: a transaction of the user's own that has ended is no transaction any more`, async () => {
    const { library, backbone, kept } = await open()
    let ended: Tx | undefined
    await library.transaction(async (tx) => {
      ended = tx
      await library.insert(tx, 'o-1')
    })

    const late = ended === undefined ? Promise.resolve() : backbone.publish(ended, message('late'))

    // Some libraries notice it themselves, in their own words.
    await expect(late).rejects.toThrow(/transaction/i)
    expect((await kept()).messages).toEqual([])
  })

  test(`${name}: a handler that goes on after the end of its transaction writes nothing`, async () => {
    const { library, backbone, kept } = await open()
    let ended: Tx | undefined
    await backbone.transaction(async (tx) => {
      ended = tx
      await library.insert(tx, 'in time')
    })

    const late = ended === undefined ? Promise.resolve() : library.insert(ended, 'late')

    await expect(late).rejects.toThrow(/ended|closed|released|not found|committed|Failed query/i)
    expect((await kept()).orders).toEqual(['in time'])
  })

  test(`${name}: a statement that failed unnoticed is told, not turned into a silent rollback`, async () => {
    const { library, backbone, kept } = await open()

    const work = backbone.transaction(async (tx) => {
      await library.insert(tx, 'o-1')
      await library.insert(tx, 'o-1').catch(() => undefined)
    })

    await expect(work).rejects.toThrow(/earlier statement .*failed/)
    expect(await kept()).toEqual({ messages: [], orders: [] })
  })

  test(`${name}: who waits too long for a lock may run again at once`, async () => {
    const { library, backbone } = await open()
    await backbone.transaction((tx) => library.insert(tx, 'o-1'))

    const works = [1, 2].map(() =>
      backbone.transaction(async (tx) => {
        await library.insert(tx, 'same')
        // Longer than the other may wait for the key.
        await new Promise((resolve) => setTimeout(resolve, 1_000))
      }),
    )

    const refused = (await Promise.allSettled(works)).filter((outcome) => outcome.status === 'rejected')
    expect(refused).toMatchObject([{ reason: { name: 'ConflictError', code: 'DATABASE_CONFLICT' } }])
  })
}

function handling<Tx extends object>(name: string, open: () => Promise<Opened<Tx>>): void {
  test(`${name}: a handler's write, its message and the record of its handling commit together, once`, async () => {
    const { library, backbone, kept, query } = await open()
    const witness = new Witness(backbone.diagnostics)
    const Other = countedOn('others', 'test.Other')
    const retry = { inline: 1, delays: [] }
    backbone.subscribe(
      Counted,
      async (order, { tx, publish }) => {
        await library.insert(tx, order.data.key, order.data.note)
        publish(Other({ key: order.data.key, version: 1 }))
        if (order.data.note === 'fail') throw new Error('after everything')
      },
      { retry },
    )
    backbone.group('shop.audit').subscribe(Other, async (other, { tx }) => {
      await library.insert(tx, `heard of ${other.data.key}`)
    })
    await backbone.start({ run: ['consume', 'relay'] })

    await backbone.transaction(async (tx) => {
      await backbone.publish(tx, [message('good', 'ünï\u2028 "quoted" \\'), message('bad', 'fail')])
    })
    await witness.saw('delivery.applied', () => true, 2)
    const settled = await until('a dead letter', async () => {
      const [row] = await query("select attempts from trunkline.parked_message where state = 'dead'")
      return row
    })

    const rows = await query('select id, note from orders order by id')
    await until('an empty outbox', async () => (await kept()).messages.length === 0)
    expect(rows).toEqual([
      { id: 'good', note: 'ünï\u2028 "quoted" \\' },
      { id: 'heard of good', note: '' },
    ])
    expect(settled).toEqual({ attempts: 2 })
    expect(await query('select count(*)::int as ids from trunkline.inbox')).toEqual([{ ids: 3 }])
  })

  test(`${name}: a saga's state comes back through its transactions as it was`, async () => {
    const { library } = await open()
    const { database } = partsOf(library.source)
    const store = new PostgresSagaStore({ database })

    const [inserted, loaded] = await database.transaction(async (tx) => {
      const ids = await store.insert(tx, [started])
      return [[...ids], await store.lock(tx, 'shopping', [started.saga.instance.id])] as const
    })

    expect(inserted).toEqual([started.saga.instance.id])
    expect(loaded).toEqual([started.saga])
  })
}

const state = { orderId: 'o-1', note: 'a\u0000b', total: 12n, at: new Date(5), bytes: Buffer.of(0, 255) }
const started: SagaChange = {
  saga: {
    instance: { id: instanceId('shopping', 'o-1'), key: 'o-1', status: 'running', reason: null, state, steps: [] },
    saga: 'shopping',
    definitionVersion: 1,
    graphHash: 'abc',
    version: 1,
    correlationId: 'c-1',
  },
  history: [{ input: { kind: 'started' }, effects: [], status: 'running' }],
  timer: { kind: 'after', ms: 60_000 },
}

function losing<Tx extends object>(name: string, connect: Connect<Tx>): void {
  let proxy: PostgresProxy | undefined
  let room: Room<Tx> | undefined
  const openBehindProxy = async () => {
    const { url } = await createTestDatabase()
    proxy ??= await new PostgresProxy(url).start()
    room ??= await makeRoom(connect, url, proxy.url)
    return { ...(await open(room)), proxy, firedBefore: proxy.fired }
  }
  afterAll(async () => {
    await leave(room)
    await proxy?.[Symbol.asyncDispose]()
  })

  test(`${name}: a COMMIT whose reply is lost is resolved by asking the server`, async () => {
    const { backbone, library, proxy, kept, firedBefore } = await openBehindProxy()

    proxy.cutNextCommit('lose the reply')
    const result = await backbone.transaction(async (tx) => {
      await library.insert(tx, 'o-1')
      await backbone.publish(tx, message('o-1'))
      return 'done'
    })

    expect(proxy.fired).toBe(firedBefore + 1)
    expect(result).toBe('done')
    expect(await kept()).toEqual({ messages: ['o-1'], orders: ['o-1'] })
  })

  test(`${name}: a COMMIT that never arrived is told as one that may be run again`, async () => {
    const { backbone, library, proxy, kept, firedBefore } = await openBehindProxy()

    proxy.cutNextCommit('lose the request')
    const work = backbone.transaction((tx) => library.insert(tx, 'o-1'))

    await expect(work).rejects.toMatchObject({ name: 'TransientError', code: 'COMMIT_ABORTED' })
    expect(proxy.fired).toBe(firedBefore + 1)
    expect((await kept()).orders).toEqual([])
  })
}

function partsOf<Tx extends object>(source: TransactionSource<Tx>): DatabaseParts<Tx> {
  const given = { service: 'shop', kafka: { driver: 'memory' }, database: source } as const
  const options = parseOptions(backboneOptions, given, 'test')
  const diagnostics = new Diagnostics<DiagnosticCatalogue>()
  const parts = buildDatabase<Tx>(options, { clock: systemClock, diagnostics, logger: silentLogger, schemaIds: undefined }, () => undefined)
  onTestFinished(() => parts.database.close())
  return parts
}
