import { expect, test } from 'vitest'
import type { ParkedMessage, ParkingStore } from '../../src/core/consume/parking-store.ts'
import type { LeasedKey, RetryStore } from '../../src/core/consume/retry-store.ts'
import type { Database } from '../../src/core/database/database.ts'
import { reasonFor } from '../../src/core/failures/reason.ts'
import { parkedMessage } from './parking-store.ts'

export interface RetryStoreSubject<Tx> {
  readonly database: Database<Tx>
  readonly parking: ParkingStore<Tx>
  readonly retries: RetryStore<Tx>
  /** Ends every lease, as time does. */
  readonly endLeases: () => Promise<void>
  /** Makes a process known as alive. */
  readonly alive: (process: string) => Promise<void>
  /** How many entries the history of a message has. */
  readonly historyOf: (message: ParkedMessage) => Promise<number>
}

const capable = { group: 'g', names: ['test.Counted'], schemas: ['aa'] }
const reason = reasonFor('BAD', 'bad', 'test.Counted')
const one = { messages: 1, bytes: 0 }
const here = '00000000-0000-4000-8000-000000000001'
const elsewhere = '00000000-0000-4000-8000-000000000002'

/** The promises of {@link RetryStore}. */
export function retryStoreConformance<Tx>(name: string, open: () => Promise<RetryStoreSubject<Tx>>): void {
  async function given(...messages: ParkedMessage[]) {
    const subject = await open()
    const { database, parking, retries } = subject
    const park = (...more: ParkedMessage[]): Promise<void> => database.transaction((tx) => parking.park(tx, more))
    await park(...messages)
    let tokens: readonly string[] = []
    const lease = async (limit = 10, given = capable, by = here): Promise<readonly LeasedKey[]> => {
      const keys = await retries.lease(given, { limit, leaseMs: 60_000, by, tokens })
      tokens = [...tokens, ...keys.map(({ token }) => token)]
      return keys
    }
    const leaseOne = async (by = here): Promise<LeasedKey> => {
      const [key] = await lease(10, capable, by)
      if (key === undefined) throw new Error('No key is due.')
      return key
    }
    const take = async (key: LeasedKey, count = 1): Promise<boolean> => {
      const some = await retries.peek(key, { messages: count, bytes: 1_000_000 })
      return await database.transaction((tx) => retries.take(tx, key, some))
    }
    const fail = async (
      key: LeasedKey,
      attempts: number,
      fate: Parameters<RetryStore<Tx>['fail']>[2]['fate'],
      seq?: bigint,
    ): Promise<boolean> => {
      const [head] = seq === undefined ? await retries.peek(key, one) : []
      return await database.transaction((tx) => retries.fail(tx, key, { seq: seq ?? head?.seq ?? 0n, attempts, reason, fate }))
    }
    return { ...subject, park, lease, leaseOne, take, fail }
  }

  const again = (delayMs: number) => ({ state: 'waiting', queued: true, delayMs }) as const

  test(`${name}: leases keys that are due, each to one`, async () => {
    const { lease } = await given(parkedMessage('a'), parkedMessage('b'), parkedMessage('c', { delayMs: 60_000 }))

    const [first, second] = await Promise.all([lease(1), lease(1, capable, elsewhere)])

    expect(first).toHaveLength(1)
    expect(second).toHaveLength(1)
    expect(first[0]?.hash.equals(second[0]?.hash ?? Buffer.alloc(0))).toBe(false)
    expect(await lease()).toEqual([])
  })

  test(`${name}: leaves keys alone whose first message it cannot handle or read, whatever stands behind`, async () => {
    const other = parkedMessage('a', { name: 'test.Other' })
    const { record } = parkedMessage('b')
    const unknownValue = { ...record, key: record.key, headers: record.headers, value: Buffer.from('c301bb00000000000000', 'hex') }
    const unknown = parkedMessage('b', { record: unknownValue })
    const { lease } = await given(other, parkedMessage('a'), unknown, parkedMessage('c', { name: null }))

    const able = await lease()
    const more = await lease(10, { ...capable, names: ['test.Counted', 'test.Other'], schemas: ['00000000000000bb'] })

    expect(able.map(({ key }) => String(key))).toEqual(['c'])
    expect(more.map(({ key }) => String(key)).toSorted()).toEqual(['a', 'b'])
  })

  test(`${name}: a key that is being appended to can be leased`, async () => {
    const { database, parking, lease } = await given(parkedMessage('a'))

    const leased = await database.transaction(async (tx) => {
      await parking.park(tx, [parkedMessage('a')])
      return await lease()
    })

    expect(leased).toHaveLength(1)
  })

  test(`${name}: a lease that ran out is taken over, and its former owner can do nothing`, async () => {
    const { database, retries, lease, leaseOne, take, fail, endLeases } = await given(parkedMessage('a'))
    const former = await leaseOne()
    const [head] = await retries.peek(former, one)
    await endLeases()

    const [key] = await lease(1, capable, elsewhere)

    expect(key).toMatchObject({ leftBehind: true })
    expect(former.leftBehind).toBe(false)
    expect(await take(former)).toBe(false)
    expect(await database.transaction((tx) => retries.takeAll(tx, former, head === undefined ? [] : [head]).catch(() => false))).toBe(false)
    expect(await fail(former, 1, again(0), head?.seq)).toBe(false)
    expect(await retries.renew(former, 1_000)).toBe(false)
    expect(await retries.unpark(former)).toBe(false)
    await retries.giveBack(former, 0)
    expect(await lease()).toEqual([])
  })

  test(`${name}: a lease that ran out stays with its process as long as that lives`, async () => {
    const { lease, leaseOne, endLeases, alive } = await given(parkedMessage('a'))
    await leaseOne()
    await alive(here)
    await endLeases()

    expect(await lease(1, capable, elsewhere)).toEqual([])
  })

  test(`${name}: a process that never heard of its lease has it anew at once, and nobody is suspected`, async () => {
    const { retries, alive } = await given(parkedMessage('a'))
    const terms = { limit: 1, leaseMs: 60_000, by: here, tokens: [] }
    await alive(here)
    await retries.lease(capable, terms)

    const [key] = await retries.lease(capable, terms)

    expect(key).toMatchObject({ leftBehind: false, diedAlone: false })
    expect(await retries.lease(capable, { ...terms, tokens: key === undefined ? [] : [key.token] })).toEqual([])
  })

  test(`${name}: what was noted of a process that died alone stays until somebody clears it`, async () => {
    const { retries, leaseOne, endLeases } = await given(parkedMessage('a'))
    await retries.runAlone(await leaseOne())
    await endLeases()
    const second = await leaseOne()
    await retries.giveBack(second, 0, 'died alone')
    const third = await leaseOne()
    await retries.giveBack(third, 0, 'left behind')
    const fourth = await leaseOne()
    await retries.giveBack(fourth, 0)

    const fifth = await leaseOne()

    expect([second, third, fourth, fifth].map(({ leftBehind, diedAlone }) => [leftBehind, diedAlone])).toEqual([
      [true, true],
      [true, true],
      [true, false],
      [false, false],
    ])
  })

  test(`${name}: a key that nobody suspected is not suspect because somebody gave it back with that word`, async () => {
    const { retries, leaseOne } = await given(parkedMessage('a'))
    await retries.giveBack(await leaseOne(), 0, 'died alone')

    expect(await leaseOne()).toMatchObject({ leftBehind: false, diedAlone: false })
  })

  test(`${name}: a process that dies right behind the commit of a suspect did not die of the message behind it`, async () => {
    const { database, retries, leaseOne, endLeases } = await given(parkedMessage('a'), parkedMessage('a'))
    await leaseOne()
    await endLeases()
    const suspect = await leaseOne(elsewhere)
    await retries.runAlone(suspect)
    const [first] = await retries.peek(suspect, one)
    const rolledBack = database.transaction(async (tx) => {
      await retries.take(tx, suspect, first === undefined ? [] : [first])
      throw new Error('abort')
    })
    await expect(rolledBack).rejects.toThrow('abort')
    await endLeases()
    const before = await leaseOne()
    await retries.runAlone(before)

    const taken = await database.transaction((tx) => retries.take(tx, before, first === undefined ? [] : [first]))
    await endLeases()
    const after = await leaseOne(elsewhere)

    expect(taken).toBe(true)
    expect([before, after].map(({ leftBehind, diedAlone }) => [leftBehind, diedAlone])).toEqual([
      [true, true],
      [true, false],
    ])
  })

  test(`${name}: knows of a key that was left behind whether it ran alone, and not of one that was given back`, async () => {
    const { retries, lease, leaseOne, endLeases } = await given(parkedMessage('a'))
    const first = await leaseOne()
    await retries.runAlone(first)
    await retries.giveBack(first, 0)
    const second = await leaseOne()
    await endLeases()
    const third = await leaseOne(elsewhere)
    await retries.runAlone(third)
    await endLeases()

    const [fourth] = await lease()

    const told = [second, third, fourth].map((key) => [key?.leftBehind, key?.diedAlone])
    expect(told).toEqual([
      [false, false],
      [true, false],
      [true, true],
    ])
    expect(await retries.runAlone(third)).toBe(false)
  })

  test(`${name}: gives back what it took when the transaction is rolled back`, async () => {
    const { database, retries, leaseOne, take } = await given(parkedMessage('a'))
    const key = await leaseOne()

    const running = database.transaction(async (tx) => {
      await retries.take(tx, key, await retries.peek(key, one))
      throw new Error('abort')
    })

    await expect(running).rejects.toThrow('abort')
    expect(await take(key)).toBe(true)
    expect(await retries.peek(key, one)).toEqual([])
  })

  test(`${name}: takes nothing that is not among the first any more`, async () => {
    const { retries, database, leaseOne } = await given(parkedMessage('a'), parkedMessage('a'))
    const key = await leaseOne()
    const [, second] = await retries.peek(key, { messages: 2, bytes: 1_000_000 })

    const taken = await database.transaction((tx) => retries.take(tx, key, second === undefined ? [] : [second]))

    expect(taken).toBe(false)
    expect(await retries.peek(key, { messages: 9, bytes: 1_000_000 })).toHaveLength(2)
  })

  test(`${name}: shows no more than fits, but one in any case, and nothing behind a dead one`, async () => {
    const { retries, leaseOne, park } = await given(parkedMessage('a'), parkedMessage('a'))
    await park(parkedMessage('a', { state: 'dead' }), parkedMessage('a'))
    const key = await leaseOne()

    expect(await retries.peek(key, one)).toHaveLength(1)
    expect(await retries.peek(key, { messages: 9, bytes: 1_000_000 })).toHaveLength(2)
  })

  test(`${name}: counts a failure once, and lets the key wait`, async () => {
    const { retries, lease, leaseOne, fail } = await given(parkedMessage('a'))
    const key = await leaseOne()
    const [head] = await retries.peek(key, one)

    const recorded = await fail(key, 1, again(60_000))
    const twice = await fail(key, 1, again(0), head?.seq)

    expect([recorded, twice]).toEqual([true, false])
    expect(await lease()).toEqual([])
    const dueIn = await retries.dueIn('g')
    expect(dueIn).toBeGreaterThan(50_000)
    expect(dueIn).toBeLessThanOrEqual(60_000)
  })

  test(`${name}: a dead message holds its key; one that is taken out of the queue does not`, async () => {
    const later = parkedMessage('b')
    const { retries, lease, fail } = await given(parkedMessage('a'), parkedMessage('a'), parkedMessage('b'), later)

    for (const key of await lease()) await fail(key, 1, { state: 'dead', queued: String(key.key) === 'a', delayMs: 0 })

    const [key, ...more] = await lease()
    expect(more).toEqual([])
    expect(String(key?.key)).toBe('b')
    expect(await retries.peek(key as LeasedKey, one)).toMatchObject([{ inboxId: later.inboxId }])
    expect(await retries.dueIn('g')).toBeUndefined()
  })

  test(`${name}: keeps a history that ends`, async () => {
    const message = parkedMessage('a')
    const { leaseOne, fail, historyOf } = await given(message)

    for (let attempt = 1; attempt <= 60; attempt++) await fail(await leaseOne(), attempt, again(0))

    expect(await historyOf(message)).toBe(50)
  })

  test(`${name}: unparks a key that is empty, and no other`, async () => {
    const { retries, leaseOne, take, lease } = await given(parkedMessage('a'))
    const key = await leaseOne()

    const early = await retries.unpark(key)
    await take(key)

    expect([early, await retries.unpark(key)]).toEqual([false, true])
    await retries.giveBack(key, 0)
    expect(await lease()).toEqual([])
  })

  test(`${name}: a key whose last message was taken by somebody who died is leased again, and can be unparked`, async () => {
    const { retries, leaseOne, take, lease, endLeases } = await given(parkedMessage('a'))
    await take(await leaseOne())
    await endLeases()

    const [key] = await lease()

    expect(await retries.peek(key as LeasedKey, one)).toEqual([])
    expect(await retries.unpark(key as LeasedKey)).toBe(true)
  })

  test(`${name}: waits with the end of a key for whoever found it parked`, async () => {
    const { database, parking, retries, leaseOne, take } = await given(parkedMessage('a'))
    const key = await leaseOne()
    await take(key)
    let unparked: Promise<boolean> | undefined

    await database.transaction(async (tx) => {
      await parking.lockParked(tx, { group: 'g', topic: 't' }, [Buffer.from('a')])
      unparked = retries.unpark(key)
      await parking.park(tx, [parkedMessage('a')])
    })

    expect(await unparked).toBe(false)
    expect(await retries.peek(key, one)).toHaveLength(1)
  })

  test(`${name}: takes the whole queue and the key, or nothing`, async () => {
    const { database, retries, leaseOne, park, lease } = await given(parkedMessage('a'), parkedMessage('a'))
    const key = await leaseOne()
    const two = await retries.peek(key, { messages: 9, bytes: 1_000_000 })
    await park(parkedMessage('a'))

    const stale = database.transaction(async (tx) => {
      if (!(await retries.takeAll(tx, key, two))) throw new Error('not all')
    })
    await expect(stale).rejects.toThrow('not all')
    const three = await retries.peek(key, { messages: 9, bytes: 1_000_000 })
    const all = await database.transaction((tx) => retries.takeAll(tx, key, three))

    expect(three).toHaveLength(3)
    expect(all).toBe(true)
    expect(await retries.peek(key, one)).toEqual([])
    expect(await retries.renew(key, 1_000)).toBe(false)
    expect(await lease()).toEqual([])
  })

  test(`${name}: records a failure whose reason is cut in the middle of a character`, async () => {
    const { database, retries, leaseOne } = await given(parkedMessage('a'))
    const key = await leaseOne()
    const [head] = await retries.peek(key, one)
    const long = reasonFor('BAD', `${'x'.repeat(499)}\u{1f600}`, 'test.Counted')

    const recorded = await database.transaction((tx) =>
      retries.fail(tx, key, { seq: head?.seq ?? 0n, attempts: 1, reason: long, fate: again(0) }),
    )

    expect(recorded).toBe(true)
  })
}
