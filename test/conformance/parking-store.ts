import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { keyOf, keyOfOne } from '../../src/core/consume/parking.ts'
import type { ParkedMessage, ParkingStore } from '../../src/core/consume/parking-store.ts'
import type { Database } from '../../src/core/database/database.ts'
import { behindItsKey, reasonFor } from '../../src/core/failures/reason.ts'

export interface ParkingStoreSubject<Tx> {
  readonly database: Database<Tx>
  readonly parking: ParkingStore<Tx>
  /** The queue of a key, the head first: ids and states. */
  readonly queueOf: (key: ParkedMessage['key']) => Promise<readonly string[]>
  /** Deletes a key that has no message, as a worker does; it waits for whoever keeps the key locked. */
  readonly unpark: (key: ParkedMessage['key']) => Promise<boolean>
}

const place = { topic: 't', partition: 0 }
let offset = 0n

/** A message of that key that is to be kept. */
export function parkedMessage(key: string | null, given: Partial<ParkedMessage> = {}): ParkedMessage {
  const inboxId = randomUUID()
  const record = { offset: offset++, key: key === null ? null : Buffer.from(key), value: Buffer.from('v'), headers: [], timestampMs: 0 }
  return {
    group: 'g',
    inboxId,
    type: 'test.Counted.v1',
    name: 'test.Counted',
    key: keyOf(place, record, inboxId),
    queued: true,
    state: 'waiting',
    attempts: 0,
    delayMs: 0,
    reason: behindItsKey,
    place,
    record,
    ...given,
  }
}

/** The promises of {@link ParkingStore}. */
export function parkingStoreConformance<Tx>(name: string, open: () => Promise<ParkingStoreSubject<Tx>>): void {
  const isParked = async ({ database, parking }: ParkingStoreSubject<Tx>, key: string, group = 'g'): Promise<boolean> => {
    const found = await database.transaction((tx) => parking.lockParked(tx, { group, topic: 't' }, [Buffer.from(key)]))
    return found.length > 0
  }

  test(`${name}: tells which keys of a topic are parked in a group`, async () => {
    const { database, parking } = await open()
    await database.transaction((tx) => parking.park(tx, [parkedMessage('a'), parkedMessage('b'), parkedMessage(null)]))
    const keys = ['x', 'b', 'a', 'a'].map((key) => Buffer.from(key))
    const lock = (group: string, topic: string, wanted = keys) =>
      database.transaction((tx) => parking.lockParked(tx, { group, topic }, wanted))

    expect((await lock('g', 't')).map(String).toSorted()).toEqual(['a', 'b'])
    expect(await lock('other', 't')).toEqual([])
    expect(await lock('g', 'other')).toEqual([])
    expect(await lock('g', 't', [])).toEqual([])
  })

  test(`${name}: finds the parked keys among many, and none where none is parked`, async () => {
    const { database, parking } = await open()
    const keys = Array.from({ length: 40 }, (_, n) => Buffer.from(`key ${n}`))
    const lock = () => database.transaction((tx) => parking.lockParked(tx, { group: 'g', topic: 't' }, keys))

    const before = await lock()
    await database.transaction((tx) => parking.park(tx, [parkedMessage('key 7'), parkedMessage('key 39'), parkedMessage('other')]))

    expect(before).toEqual([])
    expect((await lock()).map(String).toSorted()).toEqual(['key 39', 'key 7'])
  })

  test(`${name}: finds a parked key among many, whatever it found before, and fails where the transaction is lost`, async () => {
    const { database, parking } = await open()
    const keys = Array.from({ length: 40 }, (_, n) => Buffer.from(`key ${n}`))
    const lock = (tx: Tx) => parking.lockParked(tx, { group: 'g', topic: 't' }, keys)
    const found: string[][] = []
    const look = async (): Promise<void> => void found.push((await database.transaction(lock)).map(String))

    const undone = database.transaction(async (tx) => {
      await parking.park(tx, [parkedMessage('key 7')])
      found.push((await lock(tx)).map(String))
      throw new Error('abort')
    })
    await expect(undone).rejects.toThrow('abort')
    await look()
    await look()
    await database.transaction((tx) => parking.park(tx, [parkedMessage('key 7')]))
    await look()
    await look()

    expect(found).toEqual([['key 7'], [], [], ['key 7'], ['key 7']])
    const lost = database.transaction(async (tx) => {
      await database
        .queryable(tx)
        .query('select 1 / 0')
        .catch(() => undefined)
      await lock(tx)
    })
    await expect(lost).rejects.toThrow('failed')
  })

  test(`${name}: queues messages of one key in the order of the list, behind those that are there`, async () => {
    const { database, parking, queueOf } = await open()
    const [first, second, other, third] = [parkedMessage('a'), parkedMessage('a'), parkedMessage('b'), parkedMessage('a')]
    await database.transaction((tx) => parking.park(tx, [first]))

    await database.transaction((tx) => parking.park(tx, [third, other, second]))

    expect(await queueOf(first.key)).toEqual([`${first.inboxId} waiting`, `${third.inboxId} waiting`, `${second.inboxId} waiting`])
    expect(await queueOf(other.key)).toEqual([`${other.inboxId} waiting`])
  })

  test(`${name}: lets a message stand beside the queue, and then parks no key`, async () => {
    const subject = await open()
    const { database, parking, queueOf } = subject
    const dead = parkedMessage('a', { state: 'dead', queued: false, reason: reasonFor('BAD', 'bad', 'test.Counted') })

    await database.transaction((tx) => parking.park(tx, [dead]))

    expect(await queueOf(dead.key)).toEqual([])
    expect(await isParked(subject, 'a')).toBe(false)
  })

  test(`${name}: makes a message without a key, or with an order of its own, a key of its own`, async () => {
    const subject = await open()
    const { database, parking, queueOf } = subject
    const [one, two, unordered] = [parkedMessage(null), parkedMessage(null), parkedMessage('a')]
    const alone = { ...unordered, key: keyOfOne('t', unordered.inboxId) }

    await database.transaction((tx) => parking.park(tx, [one, two, alone]))

    for (const message of [one, two, alone]) expect(await queueOf(message.key)).toEqual([`${message.inboxId} waiting`])
    expect(await isParked(subject, 'a')).toBe(false)
  })

  test(`${name}: keeps nothing of a transaction that is rolled back`, async () => {
    const subject = await open()
    const { database, parking, queueOf } = subject
    const message = parkedMessage('a')

    const parked = database.transaction(async (tx) => {
      await parking.park(tx, [message])
      throw new Error('abort')
    })

    await expect(parked).rejects.toThrow('abort')
    expect(await queueOf(message.key)).toEqual([])
    expect(await isParked(subject, 'a')).toBe(false)
  })

  test(`${name}: nobody can unpark a key while a transaction has found it parked`, async () => {
    const { database, parking, queueOf, unpark } = await open()
    const [gone, appended] = [parkedMessage('a'), parkedMessage('a')]
    await database.transaction((tx) => parking.park(tx, [gone]))
    let unparked: Promise<boolean> | undefined

    await database.transaction(async (tx) => {
      const found = await parking.lockParked(tx, { group: 'g', topic: 't' }, [Buffer.from('a')])
      unparked = unpark(gone.key)
      if (found.length > 0) await parking.park(tx, [appended])
    })

    expect(await unparked).toBe(false)
    expect(await queueOf(gone.key)).toHaveLength(2)
  })

  test(`${name}: transactions that park the same keys in another order do not stop each other`, async () => {
    const { database, parking, queueOf } = await open()
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    const lists = Array.from({ length: 6 }, (_, index) => (index % 2 === 0 ? keys : keys.toReversed()).map((key) => parkedMessage(key)))

    await Promise.all(lists.map((messages) => database.transaction((tx) => parking.park(tx, messages))))

    for (const { key } of lists[0] ?? []) expect(await queueOf(key)).toHaveLength(lists.length)
  })

  test(`${name}: tells how much a group keeps`, async () => {
    const { database, parking } = await open()
    const messages = [parkedMessage('a'), parkedMessage('bb', { state: 'dead', queued: false })]
    const load = (group: string) => database.transaction((tx) => parking.load(tx, group))
    await database.transaction((tx) => parking.park(tx, messages))

    // Two keys of one and two bytes, two values of one.
    expect(await load('g')).toEqual({ rows: 2, bytes: 5 })
    expect(await load('other')).toEqual({ rows: 0, bytes: 0 })
  })

  test(`${name}: knows what any build of the group handles`, async () => {
    const { database, parking } = await open()
    await parking.registerHandled('g', ['a', 'b'])
    await parking.registerHandled('g', ['b', 'c'])

    const handled = await database.transaction((tx) => parking.handledByGroup(tx, 'g', ['a', 'c', 'x']))

    expect([...handled].toSorted()).toEqual(['a', 'c'])
    expect(await database.transaction((tx) => parking.handledByGroup(tx, 'other', ['a']))).toEqual(new Set())
    expect(await database.transaction((tx) => parking.handledByGroup(tx, 'g', []))).toEqual(new Set())
  })
}
