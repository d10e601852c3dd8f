import { Client } from 'pg'
import { describe, expect, test } from 'vitest'
import type { Transaction } from '../../../src/core/database/database.ts'

import { createTestDatabase } from '../../kit/database.ts'
import { Witness } from '../../kit/wait.ts'
import { insert, openDatabase, withTable } from './open-database.ts'

const limitsSql = `
  select current_setting('transaction_isolation') as isolation, current_setting('lock_timeout') as lock,
         current_setting('idle_in_transaction_session_timeout') as idle`

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

  test('is read committed and has our limits, whatever the database has as its own', async () => {
    const { url } = await createTestDatabase()
    const client = new Client({ connectionString: url })
    await client.connect()
    const name = client.escapeIdentifier(new URL(url).pathname.slice(1))
    await client.query(`alter database ${name} set default_transaction_isolation = 'serializable'`)
    await client.query(`alter database ${name} set lock_timeout = '1h'`)
    await client.end()
    const { database } = await openDatabase({ url })

    const { rows } = await database.transaction((tx) => tx.query(limitsSql))

    expect(rows).toEqual([{ isolation: 'read committed', lock: '2s', idle: '10s' }])
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

  test('is told why its last statement failed, which left in one write with COMMIT', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) => tx.query(insert, [1]), {
      beforeCommit: async (tx) => {
        await database.queryable(tx).query('select 1 / 0')
        return undefined
      },
    })

    await expect(work).rejects.toThrow('division by zero')
    expect(await numbers()).toEqual([])
  })

  test('knows its number before COMMIT leaves, whether it writes at first, at last or in a savepoint that is undone', async () => {
    const { database, diagnostics } = await withTable()
    const witness = new Witness(diagnostics)

    await database.transaction((tx) => tx.query(insert, [1]))
    await database.transaction(async (tx) => {
      for (let read = 0; read < 10; read++) await tx.query('select')
      await tx.query(insert, [2])
    })
    await database.transaction(async (tx) => {
      const undone = tx.savepoint(async () => {
        await tx.query(insert, [3])
        throw new Error('undo')
      })
      await undone.catch(() => undefined)
    })
    await database.transaction((tx) => tx.query('select'))

    const numbered = witness.all('transaction.committing').map(({ transactionId }) => transactionId !== undefined)
    expect(numbered).toEqual([true, true, true, false])
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

  test('is told as failed when the statement that left with COMMIT failed, and its error was lost', async () => {
    const { database, numbers } = await withTable()

    const work = database.transaction((tx) => tx.query(insert, [1]), {
      beforeCommit: async (tx) => {
        await database
          .queryable(tx)
          .query('select 1 / 0')
          .catch(() => undefined)
        return undefined
      },
      rerunsWhenUnknown: true,
    })

    await expect(work).rejects.toMatchObject({ code: 'TRANSACTION_LOST', cause: { message: 'division by zero' } })
    expect(await numbers()).toEqual([])
  })

  test.for([true, false])(
    'is not committed when what comes before COMMIT failed without a statement (run again: %s)',
    async (rerunsWhenUnknown) => {
      const { database, numbers } = await withTable()

      const work = database.transaction((tx) => tx.query(insert, [1]), {
        beforeCommit: async () => {
          throw new Error('could not be written')
        },
        rerunsWhenUnknown,
      })

      await expect(work).rejects.toThrow('could not be written')
      expect(await numbers()).toEqual([])
    },
  )

  test.for([true, false])(
    'is not committed when that failed while a statement nobody waited for was under way (run again: %s)',
    async (rerunsWhenUnknown) => {
      const { database, numbers } = await withTable()

      const work = database.transaction((tx) => tx.query(insert, [1]), {
        // Asked between the end of the work and the last statements: there a statement of a stray promise may come.
        lastWaits: (tx) => {
          void tx.query('select 1')
          return false
        },
        beforeCommit: async () => {
          throw new Error('could not be written')
        },
        rerunsWhenUnknown,
      })

      await expect(work).rejects.toThrow('could not be written')
      expect(await numbers()).toEqual([])
    },
  )

  test('is known to its own database, with its pieces, as long as it is open; query and savepoint can be taken out of it', async () => {
    const [one, another] = [await withTable(), await withTable()]
    const known = ({ database }: typeof one, tx: Transaction) => [database.owns(tx), database.wholeOf(tx)]

    const faces = await one.database.transaction(async (tx) => {
      const piece = one.database.part(tx)
      const { query, savepoint } = piece.tx
      await query(insert, [1])
      await savepoint(() => query(insert, [2]))
      expect([known(one, tx), known(one, piece.tx)]).toEqual([
        [true, tx],
        [true, tx],
      ])
      expect([known(another, tx), known(another, piece.tx)]).toEqual([
        [false, undefined],
        [false, undefined],
      ])
      await piece.end()
      expect(known(one, piece.tx)).toEqual([true, undefined])
      return [tx, piece.tx]
    })

    expect(faces.map((face) => known(one, face))).toEqual([
      [true, undefined],
      [true, undefined],
    ])
    expect([one.database.owns({ ...faces[0] }), one.database.owns(null)]).toEqual([false, false])
    expect(await one.numbers()).toEqual([1, 2])
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

  test.each(['copy effect from stdin', '-- a remark\nCOPY effect (n)\n  FROM  STDIN'])(
    'refuses "%s", which waits for data, and goes on',
    async (text) => {
      const { database, numbers } = await withTable()

      await database.transaction(async (tx) => {
        await expect(tx.query(text)).rejects.toMatchObject({ code: 'COPY_REFUSED' })
        await tx.query(insert, [1])
      })

      expect(await numbers()).toEqual([1])
    },
  )

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
        await tx
          .savepoint(async () => {
            await tx.query(insert, [2])
            throw new Error('inner')
          })
          .catch(() => undefined)
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

test('a connection on which a transaction that failed still works is not used for the next one', async () => {
  const { database } = await openDatabase({ maxConnections: 1 })
  const me = 'select pg_backend_pid() as pid'
  let first: unknown

  const failed = database.transaction(async (tx) => {
    first = (await tx.query(me)).rows[0]?.['pid']
    tx.query('select pg_sleep(30)').catch(() => undefined)
    throw new Error('given up')
  })
  await expect(failed).rejects.toThrow('given up')
  const next = await database.transaction(async (tx) => (await tx.query(me)).rows[0]?.['pid'])

  expect(first).toEqual(expect.any(Number))
  expect(next).not.toBe(first)
})
