import { describe, expect, test } from 'vitest'
import type { Transaction } from '../../../src/core/database/database.ts'
import { insert, withTable } from './open-database.ts'

const fails = 'select 1 / 0'

describe('beside an open savepoint', () => {
  test('a statement is refused and the transaction is lost, because the rollback would undo it unseen', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) => Promise.allSettled([tx.savepoint(() => tx.query(fails)), tx.query(insert, [1])]))

    await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN', name: 'PermanentError' })
    expect(await numbers()).toEqual([])
  })

  test('a statement of the spine is refused too', async () => {
    const { database } = await withTable()

    const work = database.transaction((tx) =>
      Promise.allSettled([tx.savepoint(() => tx.query(fails)), database.queryable(tx).query(insert, [1])]),
    )

    await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN' })
  })

  test('another savepoint is refused', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) =>
      Promise.all([tx.savepoint(() => tx.query(insert, [1])), tx.savepoint(() => tx.query(insert, [2]))]),
    )

    await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN' })
    expect(await numbers()).toEqual([])
  })

  test('a statement of the savepoint around it is refused', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) =>
      tx.savepoint(() => Promise.allSettled([tx.savepoint(() => tx.query(fails)), tx.query(insert, [1])])),
    )

    await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN' })
    expect(await numbers()).toEqual([])
  })

  test('the work of another transaction goes its own way', async () => {
    const { database, numbers } = await withTable()

    await database.transaction((tx) =>
      tx.savepoint(async () => {
        await database.transaction((other) => other.savepoint(() => other.query(insert, [1])))
        await tx.query(insert, [2])
      }),
    )

    expect(await numbers()).toEqual([1, 2])
  })
})

test('a savepoint that the work did not wait for loses the transaction', async () => {
  const { database, numbers } = await withTable()
  const gate = Promise.withResolvers<void>()

  const work = database.transaction(async (tx) => {
    void tx.savepoint(async () => {
      await tx.query(insert, [1])
      await gate.promise
      await tx.query(insert, [2])
    })
    await new Promise(setImmediate)
  })

  await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN', message: expect.stringContaining('Await tx.savepoint') })
  gate.resolve()
  expect(await numbers()).toEqual([])
})

test('a savepoint inside that nobody waited for loses the transaction', async () => {
  const { database, numbers } = await withTable()
  const gate = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()

  const work = database.transaction(async (tx) => {
    await tx.savepoint(async () => {
      void tx.savepoint(async () => {
        opened.resolve()
        await gate.promise
      })
      await opened.promise
    })
  })

  await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN' })
  gate.resolve()
  expect(await numbers()).toEqual([])
})

test('what goes on inside after the savepoint was undone does nothing, and the rest is kept', async () => {
  const { database, numbers } = await withTable()
  let late: Promise<unknown> | undefined

  await database.transaction(async (tx) => {
    const undone = Promise.withResolvers<void>()
    const goOn = async (): Promise<void> => {
      await undone.promise
      late = tx.query(insert, [1])
      await late
    }
    const inner = tx.savepoint(() => Promise.all([goOn().catch(() => undefined), Promise.reject(new Error('undo this'))]))
    await expect(inner).rejects.toThrow('undo this')
    undone.resolve()
    await new Promise(setImmediate)
    await tx.query(insert, [2])
  })

  await expect(late).rejects.toMatchObject({ code: 'SAVEPOINT_ENDED' })
  expect(await numbers()).toEqual([2])
})

describe('what failed before a savepoint and was not awaited', () => {
  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  test.each([
    ['in the server', fails, [], 'division by zero'],
    ['before it was sent', insert, [circular], 'circular'],
  ])('%s is not made good by its rollback', async (_, text, values, message) => {
    const { database, numbers } = await withTable()

    const work = database.transaction(async (tx) => {
      void tx.query(text, values)
      const undone = tx.savepoint(async () => {
        await tx.query(insert, [1])
        throw new Error('undo this')
      })
      await undone.catch(() => undefined)
      await tx.query(insert, [2]).catch(() => undefined)
    })

    await expect(work).rejects.toThrow(message)
    expect(await numbers()).toEqual([])
  })

  test('lets the work inside run no more, once it is known', async () => {
    const { database } = await withTable()
    let ran = false

    const work = database.transaction(async (tx) => {
      await tx.query(fails).catch(() => undefined)
      await tx.savepoint(async () => {
        ran = true
      })
    })

    await expect(work).rejects.toMatchObject({ code: 'TRANSACTION_LOST' })
    expect(ran).toBe(false)
  })
})

test('a failure that nobody waited for loses the transaction and not the process', async () => {
  const { database } = await withTable()
  const unhandled: unknown[] = []
  const listen = (reason: unknown): number => unhandled.push(reason)
  process.on('unhandledRejection', listen)
  const works = [(tx: Transaction) => tx.query(fails), (tx: Transaction) => tx.savepoint(() => tx.query(fails))]

  for (const work of works) {
    await database
      .transaction(async (tx) => {
        void work(tx)
      })
      .catch(() => undefined)
    await new Promise(setImmediate)
  }
  const statement = database.transaction(async (tx) => {
    void tx.query(fails)
  })

  await expect(statement).rejects.toThrow('division by zero')
  process.off('unhandledRejection', listen)
  expect(unhandled).toEqual([])
})
