import { expect, test } from 'vitest'
import type { Database } from '../../src/core/database/database.ts'
import type { SagaChange, SagaStore, StoredSaga, TimerChange } from '../../src/core/saga/saga-store.ts'
import { instanceId, type SagaInstance } from '../../src/core/saga/transition.ts'
import { isTrunklineError } from '../../src/foundation/errors.ts'
import { nameId } from '../../src/foundation/ids.ts'

export interface SagaStoreSubject<Tx> {
  readonly database: Database<Tx>
  readonly store: SagaStore<Tx>
  /** The same store, when so much time has passed. */
  readonly later: (seconds: number) => SagaStoreSubject<Tx>
  readonly historyOf: (id: string) => Promise<readonly { seq: number; status: string; input: unknown; effects: unknown }[]>
}

const runnable = [{ name: 'shopping', version: 1 }]
const inAMinute: TimerChange = { kind: 'after', ms: 60_000 }
const notNow: TimerChange = { kind: 'clear' }

function started(key: string, timer: TimerChange = inAMinute, pinned: Partial<StoredSaga> = {}): SagaChange {
  const saga = pinned.saga ?? 'shopping'
  const instance: SagaInstance = {
    id: instanceId(saga, key),
    key,
    status: 'running',
    reason: null,
    state: { orderId: key, note: 'a\u0000b', total: 12n, at: new Date(5), bytes: Buffer.of(0, 255) },
    steps: [
      { name: 'reserve', status: 'pending', commandId: nameId(`command/${key}`), command: 'x.Reserve', attempt: 1, compensation: null },
    ],
  }
  return {
    saga: { instance, saga, definitionVersion: 1, graphHash: 'abc', version: 1, correlationId: 'c-1', ...pinned },
    history: [{ input: { kind: 'started' }, effects: [{ kind: 'send', attempt: 1 }], status: 'running' }],
    timer,
  }
}

function next({ saga }: { readonly saga: StoredSaga }, change: Partial<SagaInstance>, timer: TimerChange): SagaChange {
  const instance = { ...saga.instance, ...change }
  return {
    saga: { ...saga, instance, version: saga.version + 1 },
    history: [{ input: { kind: 'timer' }, effects: [], status: instance.status }],
    timer,
  }
}

/** The promises of {@link SagaStore}. */
export function sagaStoreConformance<Tx>(name: string, open: () => Promise<SagaStoreSubject<Tx>>): void {
  test(`${name}: gives an instance back as it was inserted`, async () => {
    const { database, store } = await open()
    const start = started('o-1')

    const inserted = await database.transaction((tx) => store.insert(tx, [start]))

    const loaded = await database.transaction((tx) => store.lock(tx, 'shopping', [start.saga.instance.id]))
    expect([...inserted]).toEqual([start.saga.instance.id])
    expect(loaded).toEqual([start.saga])
  })

  test(`${name}: writes nothing for an instance that exists`, async () => {
    const { database, store, historyOf } = await open()
    const start = started('o-1')
    await database.transaction((tx) => store.insert(tx, [start]))
    const again = started('o-1', inAMinute, { correlationId: 'c-2' })

    const inserted = await database.transaction((tx) => store.insert(tx, [again, started('o-2')]))

    const [kept] = await database.transaction((tx) => store.lock(tx, 'shopping', [start.saga.instance.id]))
    expect([...inserted]).toEqual([instanceId('shopping', 'o-2')])
    expect(kept?.correlationId).toBe('c-1')
    expect(await historyOf(start.saga.instance.id)).toHaveLength(1)
  })

  test(`${name}: one of two starts at once wins, the other learns that it exists`, async () => {
    const { database, store } = await open()

    const inserted = await Promise.all([1, 2].map(() => database.transaction((tx) => store.insert(tx, [started('o-1')]))))

    expect(inserted.flatMap((ids) => [...ids])).toEqual([started('o-1').saga.instance.id])
  })

  test(`${name}: keeps nothing when the transaction rolls back`, async () => {
    const { database, store, historyOf } = await open()
    const { id } = started('o-1').saga.instance
    const rolledBack = database.transaction(async (tx) => {
      await store.insert(tx, [started('o-1')])
      throw new Error('abort')
    })

    await expect(rolledBack).rejects.toThrow('abort')

    expect(await database.transaction((tx) => store.lock(tx, 'shopping', [id]))).toEqual([])
    expect(await historyOf(id)).toEqual([])
  })

  test(`${name}: does not give out an instance of another saga`, async () => {
    const { database, store } = await open()
    const start = started('o-1', inAMinute, { saga: 'shipping' })
    await database.transaction((tx) => store.insert(tx, [start]))

    expect(await database.transaction((tx) => store.lock(tx, 'shopping', [start.saga.instance.id]))).toEqual([])
  })

  test(`${name}: numbers the history without a gap`, async () => {
    const { database, store, historyOf } = await open()
    const start = started('o-1')
    await database.transaction((tx) => store.insert(tx, [start]))
    const second = next(start, { status: 'compensating', reason: 'why' }, inAMinute)
    await database.transaction((tx) => store.save(tx, [second]))
    await database.transaction((tx) => store.save(tx, [next(second, { status: 'compensated' }, notNow)]))

    const history = await historyOf(start.saga.instance.id)

    expect(history.map(({ seq, status }) => [seq, status])).toEqual([
      [1, 'running'],
      [2, 'compensating'],
      [3, 'compensated'],
    ])
    expect(history[0]).toMatchObject({ input: { kind: 'started' }, effects: [{ kind: 'send', attempt: 1 }] })
  })

  test(`${name}: refuses a write that somebody else overtook, and changes nothing`, async () => {
    const { database, store } = await open()
    const start = started('o-1')
    const other = started('o-2')
    await database.transaction((tx) => store.insert(tx, [start, other]))
    await database.transaction((tx) => store.save(tx, [next(start, { reason: 'first' }, inAMinute)]))

    const overtaken = database.transaction((tx) =>
      store.save(tx, [next(other, { reason: 'too late' }, inAMinute), next(start, { reason: 'too late' }, inAMinute)]),
    )

    await expect(overtaken).rejects.toSatisfy((error: unknown) => isTrunklineError(error, 'SAGA_CHANGED'))
    const kept = await database.transaction((tx) => store.lock(tx, 'shopping', [start.saga.instance.id, other.saga.instance.id]))
    expect(new Map(kept.map(({ instance }) => [instance.key, instance.reason]))).toEqual(
      new Map([
        ['o-1', 'first'],
        ['o-2', null],
      ]),
    )
  })

  test(`${name}: lets the second wait until the first has committed, and shows what the first wrote`, async () => {
    const { database, store } = await open()
    const start = started('o-1')
    await database.transaction((tx) => store.insert(tx, [start]))
    const locked = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const first = database.transaction(async (tx) => {
      await store.lock(tx, 'shopping', [start.saga.instance.id])
      locked.resolve()
      await go.promise
      await store.save(tx, [next(start, { reason: 'first' }, inAMinute)])
    })
    await locked.promise
    const second = database.transaction((tx) => store.lock(tx, 'shopping', [start.saga.instance.id]))
    go.resolve()

    const [seen] = await second
    await first

    expect(seen?.instance.reason).toBe('first')
    expect(seen?.version).toBe(2)
  })

  test(`${name}: claims a timer when it is due, not before`, async () => {
    const subject = await open()
    const { database, store } = subject
    const start = started('o-1')
    await database.transaction((tx) => store.insert(tx, [start]))
    const later = subject.later(61)

    const early = await database.transaction((tx) => store.claimDue(tx, runnable, 10))
    const due = await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))

    expect(early).toEqual([])
    expect(due).toEqual([{ saga: start.saga, due: true }])
  })

  test(`${name}: a timer that was applied fires again only after its new window`, async () => {
    const subject = await open()
    const start = started('o-1')
    await subject.database.transaction((tx) => subject.store.insert(tx, [start]))
    const due = subject.later(61)
    await due.database.transaction(async (tx) => {
      await due.store.claimDue(tx, runnable, 10)
      await due.store.save(tx, [next(start, { reason: 'again' }, inAMinute)])
    })
    const later = due.later(61)

    expect(await due.database.transaction((tx) => due.store.claimDue(tx, runnable, 10))).toEqual([])
    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toMatchObject([{ due: true }])
  })

  test(`${name}: a timer that fires although the instance has moved on is moved to where it belongs`, async () => {
    const subject = await open()
    const start = started('o-1')
    await subject.database.transaction((tx) => subject.store.insert(tx, [start]))
    await subject.database.transaction((tx) => subject.store.save(tx, [next(start, {}, { kind: 'after', ms: 120_000 })]))
    const early = subject.later(61)

    const first = await early.database.transaction((tx) => early.store.claimDue(tx, runnable, 10))
    const second = await early.database.transaction((tx) => early.store.claimDue(tx, runnable, 10))
    const later = early.later(61)

    expect(first).toMatchObject([{ due: false }])
    expect(second).toEqual([])
    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toMatchObject([{ due: true }])
  })

  test(`${name}: a shorter window brings the timer forward`, async () => {
    const subject = await open()
    const start = started('o-1', { kind: 'after', ms: 3_600_000 })
    await subject.database.transaction((tx) => subject.store.insert(tx, [start]))
    await subject.database.transaction((tx) => subject.store.save(tx, [next(start, {}, inAMinute)]))
    const later = subject.later(61)

    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toMatchObject([{ due: true }])
  })

  test(`${name}: an ignored input leaves the timer as it is`, async () => {
    const subject = await open()
    const start = started('o-1')
    await subject.database.transaction((tx) => subject.store.insert(tx, [start]))
    await subject.database.transaction((tx) => subject.store.save(tx, [next(start, {}, { kind: 'keep' })]))
    const later = subject.later(61)

    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toMatchObject([{ due: true }])
  })

  test(`${name}: an instance that waits for nothing has no timer`, async () => {
    const subject = await open()
    const start = started('o-1')
    await subject.database.transaction((tx) => subject.store.insert(tx, [start, started('o-2', notNow)]))
    await subject.database.transaction((tx) => subject.store.save(tx, [next(start, { status: 'completed' }, notNow)]))
    const later = subject.later(3_600)

    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toEqual([])
  })

  test(`${name}: leaves the timers of sagas and versions alone that are not run here`, async () => {
    const subject = await open()
    const other = started('o-1', inAMinute, { saga: 'shipping' })
    const newer = started('o-2', inAMinute, { definitionVersion: 2 })
    await subject.database.transaction((tx) => subject.store.insert(tx, [other, newer]))
    const later = subject.later(61)

    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toEqual([])
    expect(await later.database.transaction((tx) => later.store.claimDue(tx, [{ name: 'shipping', version: 1 }], 10))).toHaveLength(1)
  })

  test(`${name}: two who claim at once share the due timers and do not wait for each other`, async () => {
    const subject = await open()
    const keys = ['o-1', 'o-2', 'o-3', 'o-4']
    await subject.database.transaction((tx) =>
      subject.store.insert(
        tx,
        keys.map((key) => started(key)),
      ),
    )
    const { database, store } = subject.later(61)

    const shared = await database.transaction(async (first) => {
      const mine = await store.claimDue(first, runnable, 2)
      const others = await database.transaction((second) => store.claimDue(second, runnable, 4))
      return [mine, others].map((claimed) => claimed.map(({ saga }) => saga.instance.key))
    })

    expect(shared[0]).toHaveLength(2)
    expect(shared.flat().sort()).toEqual(keys)
  })

  test(`${name}: a postponed timer fires later`, async () => {
    const subject = await open()
    const start = started('o-1')
    await subject.database.transaction((tx) => subject.store.insert(tx, [start]))
    const due = subject.later(61)
    await due.database.transaction((tx) => due.store.postpone(tx, [start.saga.instance.id], 60_000))
    const later = due.later(61)

    expect(await due.database.transaction((tx) => due.store.claimDue(tx, runnable, 10))).toEqual([])
    expect(await later.database.transaction((tx) => later.store.claimDue(tx, runnable, 10))).toEqual([{ saga: start.saga, due: true }])
  })
}
