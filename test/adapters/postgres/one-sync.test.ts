import { Pool, type PoolClient, types } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createPool } from '../../../src/adapters/postgres/database.ts'
import type { QueryResult, Transaction } from '../../../src/core/database/database.ts'
import { FaultProxy } from '../../kit/fault-proxy.ts'
import { insert, withTable } from './open-database.ts'

const fails = 'select 1 / 0'
const reruns = { rerunsWhenUnknown: true }

/** One connection of ours, and what is heard on it. */
async function opened(given: { url?: string; answerTimeoutMs?: number; types?: Pool['options']['types'] } = {}) {
  const url = given.url ?? (await withTable()).url
  const pool = createPool({
    connection: { connectionString: url, ...(given.types === undefined ? {} : { types: given.types }) },
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    answerTimeoutMs: given.answerTimeoutMs ?? 10_000,
    applicationName: 'trunkline test',
  })
  onTestFinished(() => pool.end())
  const heard = { connections: 0, syncs: 0, noColumns: 0, notices: [] as unknown[], notifications: [] as unknown[] }
  pool.on('connect', (client: PoolClient) => {
    heard.connections++
    client.connection.on('readyForQuery', () => heard.syncs++)
    client.connection.on('noData', () => heard.noColumns++)
    client.on('notice', ({ message }) => heard.notices.push(message))
    client.on('notification', ({ payload }) => heard.notifications.push(payload))
  })
  return { ...(await withTable({ url, pool })), heard }
}

/** Whatever the database is, how its statements were answered. */
async function answers(asked: readonly Promise<QueryResult>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(asked)
  return settled.map((each) =>
    each.status === 'fulfilled' ? each.value.rows : (Reflect.get(Object(each.reason), 'code') ?? String(each.reason)),
  )
}

describe('the statements of one turn', () => {
  test('are answered with one Sync, and COMMIT with those before it', async () => {
    const { database, numbers, heard } = await opened()
    await database.transaction((tx) => tx.query(insert, [0]))
    const before = heard.syncs

    await database.transaction((tx) => Promise.all([1, 2, 3].map((n) => tx.query(insert, [n]))), {
      ...reruns,
      beforeCommit: async (tx) => void (await database.queryable(tx).query(insert, [4])),
    })

    expect(heard.syncs - before).toBe(2)
    expect(await numbers()).toEqual([0, 1, 2, 3, 4])
  })

  test('get each its own rows, counts and columns', async () => {
    const { database } = await opened()

    const [inserted, none, two, empty, doubled] = await database.transaction((tx) =>
      Promise.all([
        tx.query('insert into effect values (1), (2), (3)'),
        tx.query('select n from effect where n > 9'),
        tx.query('select n, n * 2 as twice from effect where n <= $1 order by n', [2]),
        tx.query(''),
        tx.query(`select 1 as a, null as b, 2 as a, 'x' as "__proto__"`),
      ]),
    )

    expect(inserted).toEqual({ rows: [], rowCount: 3 })
    expect(none).toEqual({ rows: [], rowCount: 0 })
    expect(two).toEqual({
      rows: [
        { n: 1, twice: 2 },
        { n: 2, twice: 4 },
      ],
      rowCount: 2,
    }) // prettier-ignore
    expect(empty).toEqual({ rows: [], rowCount: 0 })
    expect(Object.entries(doubled.rows[0] ?? {})).toEqual([
      ['a', 2],
      ['b', null],
      ['__proto__', 'x'],
    ])
  })

  test('are not described again when they are prepared and have no columns', async () => {
    const { database, numbers, heard } = await opened()
    const often = (n: number, returning = '') =>
      database.transaction((tx) => database.queryable(tx).query(`${insert}${returning}`, [n], 'often'), reruns)
    const began = heard.noColumns

    const silent = [await often(1), await often(2), await often(3)]
    const told = [await often(4, ' returning n'), await often(5, ' returning n')]

    // BEGIN and COMMIT have no columns either.
    expect(heard.noColumns - began).toBe(5 * 2 + 1)
    expect(silent).toEqual(silent.map(() => ({ rows: [], rowCount: 1 })))
    expect(told).toEqual([4, 5].map((n) => ({ rows: [{ n }], rowCount: 1 })))
    expect(await numbers()).toEqual([1, 2, 3, 4, 5])
  })

  test('may be many and large', async () => {
    const { database } = await opened()
    const texts = Array.from({ length: 300 }, (_, n) => `${n} ${'ü'.repeat(n * 20)}`)
    const bytes = Buffer.alloc(1 << 20, 7)

    const [large, ...rows] = await database.transaction((tx) =>
      Promise.all([tx.query('select $1::bytea as bytes', [bytes]), ...texts.map((text) => tx.query('select $1::text as text', [text]))]),
    )

    expect(large.rows).toEqual([{ bytes }])
    expect(rows.map(({ rows: [row] }) => row?.['text'])).toEqual(texts)
  })

  test('hear what the server says in between', async () => {
    const { database, heard } = await opened()
    await database.outside.query('listen told')

    const told = await database.transaction((tx) =>
      answers([
        tx.query(`do $$ begin raise notice 'careful'; end $$`),
        tx.query(`select pg_notify('told', 'you')`),
        tx.query('select 1 as n'),
      ]),
    )

    expect(told).toEqual([[], [{ pg_notify: '' }], [{ n: 1 }]])
    expect(heard.notices.at(-1)).toBe('careful')
    expect(heard.notifications).toEqual(['you'])
  })

  test('are read as the pool reads types', async () => {
    const { database } = await opened({ types: { getTypeParser: (oid) => (text: string) => `${String(oid)}:${text}` } })

    const told = await database.transaction((tx) => answers([tx.query('select 7 as n'), tx.query(`select 'x'::text as t`)]))

    expect(told).toEqual([[{ n: `${types.builtins.INT4}:7` }], [{ t: `${types.builtins.TEXT}:x` }]])
  })

  test('do not suffer when the answer to one of them cannot be read', async () => {
    const { database } = await opened({
      types: {
        getTypeParser: () => (text: string) => {
          if (text === '2') throw new Error('unreadable')
          return text
        },
      },
    })

    let told: unknown

    const work = database.transaction(async (tx) => {
      told = await answers([1, 2, 3].map((n) => tx.query(`select ${n} as n`)))
    })

    await expect(work).rejects.toThrow('unreadable')
    expect(told).toEqual([[{ n: '1' }], 'Error: unreadable', [{ n: '3' }]])
  })
})

describe('when one of them fails', () => {
  test('those before it have their answers, those behind it are told that the transaction is lost, and why', async () => {
    const { database, numbers } = await opened()
    let told: unknown
    let cause: unknown

    const work = database.transaction(async (tx) => {
      const asked = [tx.query(insert, [1]), tx.query(fails), tx.query(insert, [2]), tx.query('select 3')]
      told = await answers(asked)
      cause = await asked[3]?.catch((error: unknown) => Reflect.get(Object(error), 'cause'))
    })

    await expect(work).rejects.toThrow('division by zero')
    expect(told).toEqual([[], '22012', 'TRANSACTION_LOST', 'TRANSACTION_LOST'])
    expect(cause).toMatchObject({ message: 'division by zero' })
    expect(await numbers()).toEqual([])
  })

  test('COMMIT behind it is not run, its error is told, and the connection is as good as new', async () => {
    const { database, numbers } = await opened()

    const work = database.transaction((tx) => tx.query(insert, [1]), {
      ...reruns,
      beforeCommit: async (tx) => void (await database.queryable(tx).query(fails)),
    })
    await expect(work).rejects.toThrow('division by zero')
    await database.transaction((tx) => tx.query(insert, [2]))

    expect(await numbers()).toEqual([2])
  })

  test.each([true, false])('because it cannot be written, COMMIT does not keep the work without it (number known: %s)', async (known) => {
    const { database, numbers } = await opened()
    const circular: Record<string, unknown> = {}
    circular['self'] = circular

    const work = database.transaction((tx) => tx.query(insert, [1]), {
      rerunsWhenUnknown: !known,
      beforeCommit: async (tx) => {
        await Promise.all([database.queryable(tx).query(insert, [2]), database.queryable(tx).query(insert, [circular])])
        return undefined
      },
    })

    await expect(work).rejects.toThrow('circular')
    expect(await numbers()).toEqual([])
  })

  test('and the server ends the connection, nobody behind it is told that it failed', async () => {
    const { database, numbers } = await opened()
    let told: unknown

    const work = database.transaction(async (tx) => {
      told = await answers([tx.query(insert, [1]), tx.query('select pg_terminate_backend(pg_backend_pid())'), tx.query(insert, [2])])
    })

    await expect(work).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    expect(told).toEqual([expect.anything(), 'DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE'])
    expect(await numbers()).toEqual([])
  })

  test('because it is not answered in time, the connection is given up with all that it had', async () => {
    const { database, numbers } = await opened({ answerTimeoutMs: 300 })
    let told: unknown

    const work = database.transaction(async (tx) => {
      told = await answers([tx.query(insert, [1]), tx.query('select pg_sleep(20)'), tx.query(insert, [2])])
    })

    await expect(work).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    expect(told).toEqual(['DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE'])
    expect(await numbers()).toEqual([])
  })

  test('because the server does not know its name, work that is run again succeeds', async () => {
    const { database, numbers } = await opened()
    const work = (from: number) => async (tx: Transaction) => {
      const spine = database.queryable(tx)
      return await answers([spine.query(insert, [from]), spine.query('select $1::int as n', [1], 'often'), spine.query(insert, [from + 1])])
    }
    await database.transaction(work(1), reruns)
    await database.outside.query('deallocate all')

    const refused = database.transaction(work(3), reruns)
    await expect(refused).rejects.toMatchObject({ name: 'ConflictError', code: 'DATABASE_CONFLICT' })
    const told = await database.transaction(work(3), reruns)

    expect(told).toEqual([[], [{ n: 1 }], []])
    expect(await numbers()).toEqual([1, 2, 3, 4])
  })

  test('because the driver cannot write its value, the others are answered', async () => {
    const { database, numbers } = await opened()
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    let told: unknown

    const work = database.transaction(async (tx) => {
      told = await answers([tx.query(insert, [1]), tx.query(insert, [circular]), tx.query(insert, [2])])
    })

    await expect(work).rejects.toThrow('circular')
    expect(told).toEqual([[], expect.stringContaining('circular'), []])
    expect(await numbers()).toEqual([])
  })
})

describe('a statement ahead of the work', () => {
  test('leaves in the same write, and is committed by itself before the work has its first answer', async () => {
    const { url } = await withTable()
    const { database, numbers, heard } = await opened({ url })
    const { numbers: seenElsewhere } = await withTable({ url })
    await database.transaction((tx) => tx.query('select'))
    let seen: unknown
    let syncs = heard.syncs

    const work = database.transaction(
      async (tx) => {
        await tx.query(insert, [2])
        syncs = heard.syncs - syncs
        seen = await seenElsewhere()
        throw new Error('changed my mind')
      },
      { ahead: (alone) => alone.query(insert, [1]) },
    )

    await expect(work).rejects.toThrow('changed my mind')
    // Its own, and the one of BEGIN, the insert and the question for the number.
    expect(syncs).toBe(2)
    expect(seen).toEqual([1])
    expect(await numbers()).toEqual([1])
  })

  test.each([true, false])('that fails keeps the work from being kept (pipelining: %s)', async (pipeline) => {
    const { url } = await withTable()
    const pool = new Pool({ connectionString: url, max: 1, pipeline })
    onTestFinished(() => pool.end())
    const { database, numbers } = await withTable({ url, pool })

    const work = database.transaction((tx) => tx.query(insert, [1]), { ahead: (alone) => alone.query(fails) })

    await expect(work).rejects.toThrow('division by zero')
    await database.transaction((tx) => tx.query(insert, [2]), { ahead: (alone) => alone.query('select') })
    expect(await numbers()).toEqual([2])
  })
})

describe('work that sends nothing', () => {
  const numbered = 'insert into effect values (1) returning pg_current_xact_id()::text as number'

  test('has its last statements leave with BEGIN', async () => {
    const { database, numbers, heard } = await opened()
    await database.transaction((tx) => tx.query(insert, [0]))
    const before = heard.syncs

    await database.transaction(async () => undefined, {
      beforeCommit: async (tx) => (await database.queryable(tx).query(numbered)).rows[0]?.['number'],
    })

    // Those, and COMMIT, which may not leave before the number is known.
    expect(heard.syncs - before).toBe(2)
    expect(await numbers()).toEqual([0, 1])
  })

  test.each([true, false])('keeps nothing where BEGIN fails, however much follows it (what follows waits: %s)', async (waits) => {
    const { database, numbers } = await opened({ url: await withoutBegin() })

    const work = database.transaction(async () => undefined, {
      lastWaits: () => waits,
      beforeCommit: async (tx) => {
        if (waits) await new Promise(setImmediate)
        const queryable = database.queryable(tx)
        // More than what leaves before the end of a turn.
        const [, inserted] = await Promise.all([queryable.query('select $1::text', ['x'.repeat(10_000)]), queryable.query(numbered)])
        return inserted.rows[0]?.['number']
      },
    })

    await expect(work).rejects.toMatchObject({ code: '42601' })
    expect(await numbers()).toEqual([])
  })
})

describe('a savepoint', () => {
  test('leaves with the first statements of its work', async () => {
    const { database, numbers, heard } = await opened()
    await database.transaction((tx) => tx.query(insert, [0]))
    const before = heard.syncs

    await database.transaction((tx) => tx.savepoint(() => Promise.all([tx.query(insert, [1]), tx.query(insert, [2])])), reruns)

    // Its end is awaited, then COMMIT.
    expect(heard.syncs - before).toBe(3)
    expect(await numbers()).toEqual([0, 1, 2])
  })

  test('of the spine ends in one write with what follows', async () => {
    const { database, numbers, heard } = await opened()
    await database.transaction((tx) => tx.query(insert, [0]))
    const before = heard.syncs

    await database.transaction(async (tx) => {
      await database.savepoint(tx, () => tx.query(insert, [1]))
      const undone = database.savepoint(tx, async () => {
        await tx.query(insert, [2])
        throw new Error('undo this')
      })
      await expect(undone).rejects.toThrow('undo this')
      await database.savepoint(tx, () => tx.query(insert, [3]))
    }, reruns)

    // Three savepoints, the end of each with the beginning of the next one, and of the last one with COMMIT.
    expect(heard.syncs - before).toBe(4)
    expect(await numbers()).toEqual([0, 1, 3])
  })
})

test.each([true, false])('work that fails before it has sent anything costs no connection (BEGIN has left: %s)', async (left) => {
  const { database, heard } = await opened()
  await database.transaction((tx) => tx.query('select'))
  const before = heard.connections

  for (let count = 0; count < 3; count++) {
    const work = database.transaction(async () => {
      if (left) await new Promise(setImmediate)
      throw new Error('invalid')
    })
    await expect(work).rejects.toThrow('invalid')
  }

  expect(heard.connections).toBe(before)
  expect(await database.transaction(async (tx) => (await tx.query('select txid_current_if_assigned() is null as clean')).rows)).toEqual([
    { clean: true },
  ])
})

test('work that fails while what goes ahead of it runs leaves no transaction open, also where statements leave one by one', async () => {
  const { url } = await withTable()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const { database } = await withTable({ url, pool })

  const work = database.transaction(() => Promise.reject(new Error('invalid')), { ahead: (alone) => alone.query('select pg_sleep(0.05)') })
  await expect(work).rejects.toThrow('invalid')
  await pool.query('create table afterwards ()')
  await pool.query('rollback')

  // A second one begins with what is kept: in an open transaction it would have gone.
  expect((await pool.query("select to_regclass('afterwards') is not null as kept")).rows).toEqual([{ kept: true }])
})

test('a copy that waits for data, however it is hidden, costs the connection and nothing else', async () => {
  const { database, numbers } = await opened()

  const work = database.transaction((tx) =>
    answers([tx.query(insert, [1]), tx.query('copy effect from /* */ stdin'), tx.query(insert, [2])]),
  )

  await expect(work).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  await database.transaction((tx) => tx.query(insert, [3]))
  expect(await numbers()).toEqual([3])
})

/** @returns the address of a server that does not understand BEGIN */
async function withoutBegin(): Promise<string> {
  const { url } = await withTable()
  const proxy = new FaultProxy({ host: '127.0.0.1', port: Number(new URL(url).port) }, () => ({
    toServer: (bytes) => Buffer.from(bytes.toString('latin1').replace('begin isolation', 'wrong isolation'), 'latin1'),
    toClient: (bytes) => bytes,
  }))
  await proxy.start()
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const behind = new URL(url)
  behind.host = `127.0.0.1:${proxy.port}`
  return behind.href
}

test('while BEGIN is on its way nothing else leaves: where it fails, it would run by itself', async () => {
  const { database, numbers } = await opened({ url: await withoutBegin() })
  let told: unknown

  const work = database.transaction(async (tx) => {
    await new Promise(setImmediate)
    const first = tx.query(insert, [1])
    await new Promise(setImmediate)
    told = await answers([first, tx.query(insert, [2])])
  })

  await expect(work).rejects.toMatchObject({ code: '42601' })
  expect(told).toEqual(['TRANSACTION_LOST', 'TRANSACTION_LOST'])
  expect(await numbers()).toEqual([])
})

test.each([true, false])('a driver that reads no groups runs nothing behind a BEGIN that fails (pipelining: %s)', async (pipeline) => {
  const pool = new Pool({ connectionString: await withoutBegin(), max: 1, pipeline })
  onTestFinished(() => pool.end())
  if (pipeline) pool.on('connect', (client) => Object.setPrototypeOf(client, Object.create(null, foreign(client))))
  const { database, numbers } = await withTable({ url: (await withTable()).url, pool })
  let told: unknown

  const work = database.transaction(async (tx) => {
    told = await answers([tx.query(insert, [1]), tx.query(insert, [2])])
  })

  await expect(work).rejects.toMatchObject({ code: '42601' })
  expect(told).toEqual(['TRANSACTION_LOST', 'TRANSACTION_LOST'])
  expect(await numbers()).toEqual([])
})

test('where BEGIN fails nothing runs by itself, neither what left with it nor what comes later', async () => {
  const { database, numbers } = await opened({ url: await withoutBegin() })
  let told: unknown

  const work = database.transaction(async (tx) => {
    const early = await answers([tx.query(insert, [1]), tx.query(insert, [2])])
    told = [...early, ...(await answers([tx.query(insert, [3])]))]
  })

  await expect(work).rejects.toMatchObject({ code: '42601' })
  expect(told).toEqual(['TRANSACTION_LOST', 'TRANSACTION_LOST', 'TRANSACTION_LOST'])
  expect(await numbers()).toEqual([])
})

test('a pool of another copy of the driver gets a Sync for each statement', async () => {
  const { url } = await withTable()
  const pool = new Pool({ connectionString: url, max: 1, pipeline: true })
  onTestFinished(() => pool.end())
  // A client that is not of our class.
  let syncs = 0
  pool.on('connect', (client) => {
    client.connection.on('readyForQuery', () => syncs++)
    Object.setPrototypeOf(client, Object.create(null, foreign(client)))
  })
  const { database, numbers } = await withTable({ url, pool })

  await database.transaction((tx) => tx.query('select'))
  const before = syncs
  const told = await database.transaction((tx) => answers([tx.query(insert, [1]), tx.query('select 2 as n')]), reruns)

  // BEGIN, both, COMMIT.
  expect(syncs - before).toBe(4)
  expect(told).toEqual([[], [{ n: 2 }]])
  expect(await numbers()).toEqual([1])
})

/** What an object inherits, without its class. */
function foreign(of: object): PropertyDescriptorMap {
  const chain: object[] = []
  for (
    let each: unknown = Object.getPrototypeOf(of);
    typeof each === 'object' && each !== null && each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  )
    chain.unshift(each)
  return Object.assign({}, ...chain.map((each) => Object.getOwnPropertyDescriptors(each)))
}
