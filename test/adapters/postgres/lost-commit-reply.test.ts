import { describe, expect, test } from 'vitest'
import { isTrunklineError, TransientError, UnknownOutcomeError } from '../../../src/foundation/errors.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { Witness } from '../../kit/wait.ts'
import { insert, withTable } from './open-database.ts'

describe('a COMMIT whose reply is lost', () => {
  async function behindProxy(given: { maxConnections?: number } = {}) {
    const { url } = await withTable()
    const proxy = await new PostgresProxy(url).start()
    return { proxy, ...(await withTable({ ...given, url: proxy.url })) }
  }

  test('resolves when the server says that it was committed', async () => {
    const { proxy, database, numbers } = await behindProxy()
    await using _ = proxy

    proxy.cutNextCommit('lose the reply')
    await database.transaction((tx) => tx.query(insert, [1]))

    expect(proxy.fired).toBe(1)
    expect(await numbers()).toEqual([1])
  })

  test('resolves when the whole pool waits for such replies', async () => {
    const { proxy, database, numbers } = await behindProxy({ maxConnections: 1 })
    await using _ = proxy

    proxy.cutNextCommit('lose the reply')
    await database.transaction((tx) => tx.query(insert, [1]))

    expect(proxy.fired).toBe(1)
    expect(await numbers()).toEqual([1])
  })

  test('of a transaction that wrote nothing gives no advice that cannot be followed', async () => {
    const { proxy, database } = await behindProxy()
    await using _ = proxy

    proxy.cutNextCommit('lose the reply')
    const error = await database.transaction((tx) => tx.query('select 1')).catch((thrown: unknown) => thrown)

    expect(error).toBeInstanceOf(UnknownOutcomeError)
    expect(error).toMatchObject({ details: { transactionId: undefined }, message: expect.not.stringContaining('outcomeOf') })
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

  test('is resolved where the last statement left with it, and the replies to both are lost', async () => {
    const { proxy, database, diagnostics, numbers } = await behindProxy()
    await using _ = proxy
    const witness = new Witness(diagnostics)

    const commitTwice = (n: number): Promise<unknown> =>
      database.transaction((tx) => tx.query(insert, [n]), {
        beforeCommit: async (tx) => {
          await database.queryable(tx).query(insert, [n + 1])
          return undefined
        },
      })
    proxy.cutNextCommit('lose the reply')
    await commitTwice(1)
    proxy.cutNextCommit('lose the request')
    const error = await commitTwice(3).catch((thrown: unknown) => thrown)
    proxy.cutNextCommit('lose the reply', () => proxy.refuse())
    const unresolved = await commitTwice(5).catch((thrown: unknown) => thrown)
    proxy.pass()

    expect(proxy.fired).toBe(3)
    expect(unresolved).toBeInstanceOf(UnknownOutcomeError)
    expect(error).toMatchObject({ code: 'COMMIT_ABORTED' })
    expect(witness.all('transaction.committing').map(({ transactionId }) => transactionId)).not.toContain(undefined)
    expect(await numbers()).toEqual([1, 2, 5, 6])
  })

  test('is a transient error for work that is run again anyway', async () => {
    const { proxy, database } = await behindProxy()
    await using _ = proxy

    proxy.cutNextCommit('lose the reply')
    const work = database.transaction((tx) => tx.query(insert, [1]), { rerunsWhenUnknown: true })

    await expect(work).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  })
})
