import { createHash } from 'node:crypto'
import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { Transaction } from '../../../src/core/database/database.ts'
import { insert, withTable } from './open-database.ts'

/** As the spine runs handlers: it runs them again where the server does not know a statement. */
const reruns = { rerunsWhenUnknown: true }
const preparedSql = "select statement from pg_prepared_statements where statement like '%effect%'"

/** One connection, so that what was prepared is there the next time. */
function open() {
  return withTable({ maxConnections: 1 })
}

async function times(count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  for (let n = 1; n <= count; n++) await work(n)
}

test("a handler's statement that is sent often is prepared, one that is sent now and then is not", async () => {
  const { database, numbers } = await open()

  await times(5, (n) => database.transaction((tx) => tx.query(insert, [n]), reruns))
  const before = await database.outside.query(preparedSql)
  await database.transaction((tx) => tx.query(insert, [6]), reruns)

  expect(before.rows).toEqual([])
  expect((await database.outside.query(preparedSql)).rows).toEqual([{ statement: insert }])
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 6])
})

test('the statements of a transaction that nobody runs again are never prepared', async () => {
  const { database } = await open()

  await times(10, (n) => database.transaction((tx) => tx.query(insert, [n])))

  expect((await database.outside.query(preparedSql)).rows).toEqual([])
})

test('texts without end are not prepared, and nothing is kept of them', async () => {
  const { database } = await open()

  await database.transaction(async (tx) => {
    await times(1_500, (n) => tx.query(`insert into effect (n) values (${n})`))
  }, reruns)

  expect((await database.outside.query(preparedSql)).rows).toEqual([])
})

test('a statement whose table was changed costs one rerun, and works from then on', async () => {
  const { database } = await open()
  const read = (tx: Transaction) => tx.query('select * from effect')
  await times(8, () => database.transaction(read, reruns))

  await database.outside.query('alter table effect add column note text')
  const refused = await database.transaction(read, reruns).catch((error: unknown) => error)
  await times(8, () => database.transaction(read, reruns))

  expect(refused).toMatchObject({ name: 'ConflictError', code: 'DATABASE_CONFLICT' })
})

const readAll = 'select * from effect order by n'
const readAllName = `trunkline_${createHash('sha256').update(readAll).digest('hex').slice(0, 32)}`

test.for([
  ['whose table was changed', 8, 'alter table effect add column note text'],
  ['that the server has forgotten', 8, 'deallocate all'],
  // As another connection of a pooler did, on the same server.
  ['that somebody else has prepared', 5, `prepare "${readAllName}" as ${readAll}`],
] as const)('a statement %s, in the middle of one write, costs one rerun of the whole and is no answer', async ([, before, spoil]) => {
  const { database, numbers } = await open()
  const work = (n: number) => async (tx: Transaction) =>
    await Promise.all([tx.query(insert, [n]), tx.query(readAll), tx.query(insert, [n + 100]), tx.query('select 1 as last')])
  await times(before, (n) => database.transaction(work(n), reruns))

  await database.outside.query(spoil)
  const refused = await database.transaction(work(9), reruns).catch((error: unknown) => error)
  const kept = await numbers()
  const [, again, , last] = await database.transaction(work(9), reruns)

  expect(refused).toMatchObject({ name: 'ConflictError', code: 'DATABASE_CONFLICT' })
  expect(kept).toHaveLength(2 * before)
  expect(again?.rows.map(({ n }) => n)).toEqual([...kept.filter((n) => n < 100), 9, ...kept.filter((n) => n > 100)])
  expect(last?.rows).toEqual([{ last: 1 }])
  expect(await numbers()).toHaveLength(2 * before + 2)
})

test('work that catches it inside a savepoint does not take it for an answer about its data', async () => {
  const { database, numbers } = await open()
  const read = 'select * from effect'
  const work = (n: number) => async (tx: Transaction) => {
    await tx.savepoint(() => tx.query(read)).catch(() => undefined)
    await tx.query(insert, [n])
  }
  await times(8, (n) => database.transaction(work(n), reruns))

  await database.outside.query('alter table effect add column note text')
  const refused = await database.transaction(work(9), reruns).catch((error: unknown) => error)
  await database.transaction(work(9), reruns)

  expect(refused).toMatchObject({ name: 'ConflictError', code: 'DATABASE_CONFLICT' })
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('a statement that was to be prepared behind one that failed says that the transaction is lost, and is prepared the next time', async () => {
  const { database, numbers } = await open()
  await times(5, (n) => database.transaction((tx) => tx.query(insert, [n]), reruns))

  const lost = database.transaction(
    (tx) => Promise.allSettled([tx.query('select 1 / 0'), tx.query(insert, [6]), tx.query(insert, [7])]),
    reruns,
  )
  await expect(lost).rejects.toMatchObject({ message: 'division by zero' })
  await database.transaction((tx) => tx.query(insert, [6]), reruns)

  expect((await database.outside.query(preparedSql)).rows).toEqual([{ statement: insert }])
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 6])
})

test('the error of a statement that was prepared is the same as without', async () => {
  const { database } = await open()
  await times(6, (n) => database.transaction((tx) => tx.query(insert, [n]), reruns))

  const again = await database.transaction((tx) => tx.query(insert, [1]), reruns).catch((error: unknown) => error)

  expect(again).toMatchObject({ code: '23505' })
})

test('a value that cannot be written costs its own statement the name, and no other, where the driver closes that statement', async () => {
  const { url, numbers } = await open()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const { database } = await withTable({ url, pool })
  const other = 'select n from effect where n = $1'
  const work = (n: number) => async (tx: Transaction) => {
    await tx.query(insert, [n])
    await tx.query(other, [n])
  }
  await times(6, (n) => database.transaction(work(n), reruns))
  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  await database.transaction(async (tx) => {
    await expect(tx.savepoint(() => tx.query(insert, [circular]))).rejects.toThrow('circular')
    await work(7)(tx)
  }, reruns)

  expect((await database.outside.query(preparedSql)).rows).toEqual([{ statement: other }])
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 6, 7])
})

test('a value that cannot be written is told to its own statement before anything of it is sent', async () => {
  const { database, numbers } = await open()
  await times(6, (n) => database.transaction((tx) => tx.query(insert, [n]), reruns))
  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  await database.transaction(async (tx) => {
    const unwritable = tx.savepoint(() => Promise.all([tx.query(insert, [7]), tx.query(insert, [circular])]))
    await expect(unwritable).rejects.toThrow('circular')
    await Promise.all([tx.query(insert, [8]), tx.query(insert, [9])])
  }, reruns)

  expect((await database.outside.query(preparedSql)).rows).toEqual([{ statement: insert }])
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 6, 8, 9])
})

test('behind a pooler, a transaction that nobody runs again sends no names, so that no server can be found not to know one', async () => {
  const { url, numbers } = await open()
  const pool = new Pool({ connectionString: url, max: 1, pipeline: true })
  // A pooler tells its own number, and gives each transaction another server.
  pool.on('connect', (client) => Object.assign(client, { processID: 1 }))
  onTestFinished(() => pool.end())
  const { database } = await withTable({ url, pool })
  const spine = 'select count(*) from effect'
  const work = (n: number) => async (tx: Transaction) => {
    await tx.query(insert, [n])
    await database.queryable(tx).query(spine, [], 'often')
  }

  await database.transaction(work(1))
  await database.outside.query('deallocate all')
  await database.transaction(work(2))
  await database.transaction(work(3), reruns)

  expect(await numbers()).toEqual([1, 2, 3])
  expect((await database.outside.query(preparedSql)).rows).toEqual([{ statement: spine }])
})

test('a pool of another kind, which takes one statement at a time, prepares too', async () => {
  const { url, numbers } = await open()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const { database } = await withTable({ url, pool })

  await times(6, (n) => database.transaction((tx) => tx.query(insert, [n]), reruns))

  expect((await database.outside.query(preparedSql)).rows).toEqual([{ statement: insert }])
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 6])
})
