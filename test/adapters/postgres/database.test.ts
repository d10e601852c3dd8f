import { describe, expect, test } from 'vitest'
import type { Transaction } from '../../../src/core/database/database.ts'
import { ConflictError, isTrunklineError, TransientError, UnknownOutcomeError } from '../../../src/foundation/errors.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { Witness } from '../../kit/wait.ts'
import { openDatabase } from './open-database.ts'

async function withTable(given: Parameters<typeof openDatabase>[0] = {}) {
  const open = await openDatabase(given)
  await open.database.outside.query('create table if not exists effect (n int primary key)')
  const numbers = async (): Promise<number[]> => {
    const { rows } = await open.database.outside.query('select n from effect order by n')
    return rows.map((row) => Number(row['n']))
  }
  return { ...open, numbers }
}

const insert = 'insert into effect (n) values ($1)'

describe('a transaction', () => {
  test('keeps everything or nothing', async () => {
    const { database, numbers } = await withTable()

    const kept = await database.transaction((tx) => tx.query(insert, [1]))
    const aborted = database.transaction(async (tx) => {
      await tx.query(insert, [2])
      throw new Error('changed my mind')
    })

    await expect(aborted).rejects.toThrow('changed my mind')
    expect(kept.rowCount).toBe(1)
    expect(await numbers()).toEqual([1])
  })

  test('is told as failed when a statement failed and the work caught the error', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction(async (tx) => {
      await tx.query(insert, [1])
      await tx.query('select 1 / 0').catch(() => undefined)
      return 'all is well'
    })

    await expect(work).rejects.toThrow('division by zero')
    expect(await numbers()).toEqual([])
  })

  test('counts a failing statement that nobody waited for', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction(async (tx) => {
      await tx.query(insert, [1])
      void tx.query('select 1 / 0').catch(() => undefined)
    })

    await expect(work).rejects.toThrow('division by zero')
    expect(await numbers()).toEqual([])
  })

  test('is told as failed when the server answers COMMIT with ROLLBACK', async () => {
    const { database, numbers } = await withTable()

    // The failing statement leaves in one write with COMMIT and its error is lost, so that only the tag can tell.
    const work = database.transaction((tx) => tx.query(insert, [1]), {
      beforeCommit: async (tx) => {
        await database.queryable(tx).query('select 1 / 0').catch(() => undefined)
        return undefined
      },
      rerunsWhenUnknown: true,
    })

    await expect(work).rejects.toMatchObject({ code: 'COMMIT_ROLLED_BACK' })
    expect(await numbers()).toEqual([])
  })

  test.for([true, false])('is not committed when what comes before COMMIT failed without a statement (run again: %s)', async (rerunsWhenUnknown) => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) => tx.query(insert, [1]), {
      beforeCommit: async () => {
        throw new Error('could not be written')
      },
      rerunsWhenUnknown,
    })

    await expect(work).rejects.toThrow('could not be written')
    expect(await numbers()).toEqual([])
  })

  test('refuses a deferred constraint at COMMIT, and keeps nothing', async () => {
    const { database } = await withTable()
    await database.outside.query('create table child (n int references effect (n) deferrable initially deferred)')

    const work = database.transaction((tx) => tx.query('insert into child values (99)'))

    await expect(work).rejects.toThrow('violates foreign key constraint')
    expect((await database.outside.query('select from child')).rowCount).toBe(0)
  })

  test('cannot be used after its end', async () => {
    const { database, numbers } = await withTable()
    let kept: Transaction | undefined
    await database.transaction(async (tx) => {
      kept = tx
    })

    await expect(kept?.query(insert, [1])).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' })
    await expect(kept?.savepoint(async () => undefined)).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await numbers()).toEqual([])
  })

  test.for([
    'commit',
    'COMMIT;',
    '  Rollback',
    'begin',
    'start transaction',
    'END',
    'abort',
    'savepoint mine',
    'release savepoint mine',
    'set local lock_timeout = 0',
    'reset all',
    'discard all',
    "prepare transaction 'mine'",
    '-- a remark\ncommit',
    '/* a remark */ commit',
    '/* a /* nested */ remark */ commit',
    '; commit',
  ])('refuses %j, and goes on', async (text) => {
    const { database, numbers } = await withTable()

    await database.transaction(async (tx) => {
      await expect(tx.query(text)).rejects.toMatchObject({ code: 'TRANSACTION_CONTROL_REFUSED' })
      await tx.query(insert, [1])
    })

    expect(await numbers()).toEqual([1])
  })

  test('takes one statement at a time, so nothing can hide behind a semicolon', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) => tx.query('insert into effect values (1); commit'))

    await expect(work).rejects.toThrow('multiple commands')
    expect(await numbers()).toEqual([])
  })

  test('lets a statement begin with a word that only looks like a refused one', async () => {
    const { database } = await withTable()
    await database.outside.query('create table settings (commit_id int)')

    const { rowCount } = await database.transaction((tx) => tx.query('/* commit */ select * from settings'))

    expect(rowCount).toBe(0)
  })
})

describe('a savepoint', () => {
  test('undoes its own statements when it fails, and the rest goes on', async () => {
    const { database, numbers } = await withTable()

    await database.transaction(async (tx) => {
      await tx.query(insert, [1])
      await tx.savepoint(() => tx.query(insert, [1])).catch(() => undefined)
      await tx.savepoint(() => tx.query(insert, [2]))
    })

    expect(await numbers()).toEqual([1, 2])
  })

  test('can stand inside another one', async () => {
    const { database, numbers } = await withTable()

    await database.transaction(async (tx) => {
      await tx.savepoint(async () => {
        await tx.query(insert, [1])
        await tx.savepoint(async () => {
          await tx.query(insert, [2])
          throw new Error('inner')
        }).catch(() => undefined)
        await tx.query(insert, [3])
      })
    })

    expect(await numbers()).toEqual([1, 3])
  })

  test('fails when a statement inside failed and its error was caught', async () => {
    const { database, numbers } = await withTable()

    await database.transaction(async (tx) => {
      await tx.query(insert, [1])
      const inner = tx.savepoint(async () => {
        await tx.query(insert, [2])
        await tx.query('select 1 / 0').catch(() => undefined)
      })
      await expect(inner).rejects.toThrow('division by zero')
    })

    expect(await numbers()).toEqual([1])
  })
})

describe('a COMMIT whose reply is lost', () => {
  async function behindProxy() {
    const { url } = await withTable()
    const proxy = await new PostgresProxy(url).start()
    return { proxy, ...(await withTable({ url: proxy.url })) }
  }

  test('resolves when the server says that it was committed', async () => {
    const { proxy, database, numbers } = await behindProxy()
    await using _ = proxy

    proxy.cutNextCommit('lose the reply')
    await database.transaction((tx) => tx.query(insert, [1]))

    expect(proxy.fired).toBe(1)
    expect(await numbers()).toEqual([1])
  })

  test('is a transient error when the server says that it was rolled back', async () => {
    const { proxy, database, numbers } = await behindProxy()
    await using _ = proxy

    proxy.cutNextCommit('lose the request')
    const error = await database.transaction((tx) => tx.query(insert, [1])).catch((thrown: unknown) => thrown)

    expect(proxy.fired).toBe(1)
    expect(error).toBeInstanceOf(TransientError)
    expect(isTrunklineError(error, 'COMMIT_ABORTED')).toBe(true)
    expect(await numbers()).toEqual([])
  })

  test('is an unknown outcome when the server cannot be asked, and can be asked later', async () => {
    const { proxy, database, diagnostics, numbers } = await behindProxy()
    await using _ = proxy
    const witness = new Witness(diagnostics)

    proxy.cutNextCommit('lose the reply', () => proxy.refuse())
    const error = await database.transaction((tx) => tx.query(insert, [1])).catch((thrown: unknown) => thrown)
    proxy.pass()

    if (!(error instanceof UnknownOutcomeError)) throw error
    const transactionId = String(error.details['transactionId'])
    expect(witness.all('transaction.outcome_unknown')).toEqual([{ transactionId }])
    expect(await database.outcomeOf(transactionId)).toBe('committed')
    expect(await numbers()).toEqual([1])
  })

  test('is a transient error for work that is run again anyway', async () => {
    const { proxy, database } = await behindProxy()
    await using _ = proxy

    proxy.cutNextCommit('lose the reply')
    const work = database.transaction((tx) => tx.query(insert, [1]), { rerunsWhenUnknown: true })

    await expect(work).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  })
})

describe('what the server refuses', () => {
  test('is a conflict when another transaction holds the lock for too long', async () => {
    const { database } = await withTable({ lockTimeoutMs: 50 })
    await database.outside.query(insert, [1])
    const update = 'update effect set n = n where n = 1'

    await database.transaction(async (holder) => {
      await holder.query(update)
      const waiting = database.transaction((tx) => tx.query(update))
      await expect(waiting).rejects.toBeInstanceOf(ConflictError)
    })
  })

  test('is a conflict when two transactions wait for each other, and one of them goes on', async () => {
    const { database } = await withTable()
    await database.outside.query('insert into effect values (1), (2)')
    const update = 'update effect set n = n where n = $1'
    const bothHold = Promise.withResolvers<void>()
    let holding = 0
    const crossing = (first: number, second: number) =>
      database.transaction(async (tx) => {
        await tx.query(update, [first])
        if (++holding === 2) bothHold.resolve()
        await bothHold.promise
        await tx.query(update, [second])
      })

    const results = await Promise.allSettled([crossing(1, 2), crossing(2, 1)])

    const failed = results.filter((result) => result.status === 'rejected')
    expect(failed).toHaveLength(1)
    expect(failed[0]?.reason).toBeInstanceOf(ConflictError)
  })

  test('stays a conflict when the work wraps the error', async () => {
    const { database } = await withTable()

    const work = database.transaction(async (tx) => {
      await tx.query("do $$ begin raise exception using errcode = '40001'; end $$").catch(() => {
        throw new Error('something of my own')
      })
    })

    await expect(work).rejects.toBeInstanceOf(ConflictError)
  })

  test('is a transient error when every connection is taken', async () => {
    const { database } = await withTable({ maxConnections: 1 })

    await database.transaction(async (tx) => {
      await tx.query('select 1')
      await expect(database.transaction((other) => other.query('select 1'))).rejects.toBeInstanceOf(TransientError)
    })
  })

  test('is the error of the server itself when the statement is wrong', async () => {
    const { database } = await withTable()

    const work = database.transaction((tx) => tx.query('select nonsense from effect'))

    await expect(work).rejects.toMatchObject({ code: '42703' })
  })
})

test('a connection that breaks in the middle is a transient error, and the next transaction works', async () => {
  const { url } = await withTable()
  await using proxy = await new PostgresProxy(url).start()
  const { database, numbers } = await withTable({ url: proxy.url })

  const work = database.transaction(async (tx) => {
    await tx.query(insert, [1])
    proxy.cut()
    await tx.query(insert, [2])
  })

  await expect(work).rejects.toBeInstanceOf(TransientError)
  await database.transaction((tx) => tx.query(insert, [3]))
  expect(await numbers()).toEqual([3])
})

test('a session has limits on idle transactions, lock waits and silent connections', async () => {
  const { database } = await withTable()

  const { rows } = await database.transaction((tx) => tx.query(limitsSql))

  expect(rows).toEqual([{ idle: '10s', lock: '2s', tcp: '10000' }])
})

const limitsSql = `
  select current_setting('idle_in_transaction_session_timeout') as idle,
         current_setting('lock_timeout') as lock,
         current_setting('tcp_user_timeout') as tcp`
