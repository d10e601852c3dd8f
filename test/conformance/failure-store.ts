import { expect, test } from 'vitest'
import type { ParkedMessage, ParkingStore } from '../../src/core/consume/parking-store.ts'
import type { LeasedKey, RetryStore } from '../../src/core/consume/retry-store.ts'
import type { Database } from '../../src/core/database/database.ts'
import type { FailureReference, FailureState, FailureStore } from '../../src/core/failures/failure-store.ts'
import { reasonFor } from '../../src/core/failures/reason.ts'
import { until } from '../kit/wait.ts'
import { parkedMessage } from './parking-store.ts'

export interface FailureStoreSubject<Tx> {
  readonly database: Database<Tx>
  readonly parking: ParkingStore<Tx>
  readonly retries: RetryStore<Tx>
  readonly failures: FailureStore<Tx>
}

const capable = { group: 'g', names: ['test.Counted'], schemas: [] }
const bad = reasonFor('BAD', 'bad', 'test.Counted')

/** A message whose attempts are used up. */
function deadMessage(key: string | null, given: Partial<ParkedMessage> = {}): ParkedMessage {
  return parkedMessage(key, { state: 'dead', attempts: 3, reason: bad, ...given })
}

function nameOf(message: ParkedMessage): FailureReference {
  return { group: 'g', id: message.inboxId }
}

const terms = { limit: 1, leaseMs: 60_000, by: '00000000-0000-4000-8000-000000000001', tokens: [] }

/** The promises of {@link FailureStore}. */
export function failureStoreConformance<Tx>(name: string, open: () => Promise<FailureStoreSubject<Tx>>): void {
  async function given(...messages: ParkedMessage[]) {
    const subject = await open()
    const { database, parking, retries, failures } = subject
    await database.transaction((tx) => parking.park(tx, messages))
    const act = (verb: 'redrive' | 'discard' | 'restore', message: ParkedMessage): Promise<FailureState | undefined> =>
      database.transaction((tx) => failures[verb](tx, nameOf(message)))
    const queue = async (): Promise<readonly string[]> => {
      const ids: string[] = []
      for (const key of await retries.lease(capable, { ...terms, limit: 10 })) {
        const waiting = await retries.peek(key, { messages: 10, bytes: 1_000_000 })
        ids.push(...waiting.map(({ inboxId }) => inboxId))
        await retries.giveBack(key, 0)
      }
      return ids
    }
    const apply = async (message: ParkedMessage): Promise<void> => {
      const [key] = await retries.lease(capable, { ...terms, limit: 1 })
      const [head] = key === undefined ? [] : await retries.peek(key, { messages: 1, bytes: 0 })
      if (key === undefined || head?.inboxId !== message.inboxId) throw new Error('It is not the first of a key that is due.')
      await database.transaction((tx) => retries.take(tx, key, [head]))
      await retries.giveBack(key, 0)
    }
    return { ...subject, act, queue, apply }
  }

  test(`${name}: puts a dead letter back at its place, with new attempts, and its key is due`, async () => {
    const [first, later] = [deadMessage('a'), parkedMessage('a')]
    const { act, queue, failures } = await given(first, later)
    const before = await queue()

    const found = await act('redrive', first)

    expect(before).toEqual([])
    expect(found).toMatchObject({ state: 'dead', attempts: 3 })
    expect(await queue()).toEqual([first.inboxId, later.inboxId])
    expect(await failures.look([nameOf(first)])).toMatchObject([{ state: 'waiting', attempts: 0 }])
  })

  test(`${name}: puts one that stood beside the queue before the later ones of its key`, async () => {
    const [skipped, later] = [deadMessage('a', { queued: false }), parkedMessage('a')]
    const { act, queue } = await given(skipped, later)

    await act('redrive', skipped)

    expect(await queue()).toEqual([skipped.inboxId, later.inboxId])
  })

  test(`${name}: parks the key anew where nobody waited any more`, async () => {
    const skipped = deadMessage('a', { queued: false })
    const { act, queue, database, parking } = await given(skipped)

    await act('redrive', skipped)

    expect(await queue()).toEqual([skipped.inboxId])
    const locked = await database.transaction((tx) => parking.lockParked(tx, { group: 'g', topic: 't' }, [Buffer.from('a')]))
    expect(locked).toHaveLength(1)
  })

  test(`${name}: makes nobody wait for a message that was never readable, or has no key`, async () => {
    const keyless = deadMessage(null)
    const unreadable = deadMessage('a', { queued: false, key: { topic: 't', hash: Buffer.alloc(16), key: null } })
    const { act, queue, database, parking } = await given(keyless, unreadable)

    await act('redrive', keyless)
    await act('redrive', unreadable)

    expect(await queue()).toHaveLength(2)
    expect(await database.transaction((tx) => parking.lockParked(tx, { group: 'g', topic: 't' }, [Buffer.from('a')]))).toEqual([])
  })

  test(`${name}: discards a message, and its key goes on`, async () => {
    const [first, later] = [deadMessage('a'), parkedMessage('a')]
    const { act, queue, failures } = await given(first, later)

    const found = await act('discard', first)

    expect(found).toMatchObject({ state: 'dead' })
    expect(await queue()).toEqual([later.inboxId])
    expect(await failures.look([nameOf(first)])).toMatchObject([{ state: 'discarded' }])
    expect(await act('discard', first)).toBeUndefined()
    expect(await act('redrive', first)).toBeUndefined()
  })

  test(`${name}: takes a discard back, and the key is held as before`, async () => {
    const [first, later] = [deadMessage('a'), parkedMessage('a')]
    const { act, queue } = await given(first, later)
    await act('discard', first)

    const found = await act('restore', first)

    expect(found).toMatchObject({ state: 'discarded' })
    expect(await queue()).toEqual([])
    expect(await act('restore', first)).toBeUndefined()
    await act('redrive', first)
    expect(await queue()).toEqual([first.inboxId, later.inboxId])
  })

  test(`${name}: restores one that held nobody so that it holds nobody`, async () => {
    const [skipped, later] = [deadMessage('a', { queued: false }), parkedMessage('a')]
    const { act, queue } = await given(skipped, later)
    await act('discard', skipped)

    await act('restore', skipped)

    expect(await queue()).toEqual([later.inboxId])
  })

  test(`${name}: knows nothing of a message that was applied meanwhile`, async () => {
    const message = parkedMessage('a')
    const { act, apply, failures } = await given(message)
    await apply(message)

    expect(await act('redrive', message)).toBeUndefined()
    expect(await act('discard', message)).toBeUndefined()
    expect(await failures.look([nameOf(message)])).toEqual([])
  })

  test(`${name}: waits for a worker that is running the key, and then finds its message gone`, async () => {
    const message = parkedMessage('a')
    const { database, retries, failures } = await given(message)
    const [key] = await retries.lease(capable, { ...terms, limit: 1 })
    const head = await retries.peek(key as LeasedKey, { messages: 1, bytes: 0 })
    let acting: Promise<FailureState | undefined> | undefined

    await database.transaction(async (tx) => {
      await retries.take(tx, key as LeasedKey, head)
      acting = database.transaction((other) => failures.redrive(other, nameOf(message)))
    })

    expect(await acting).toBeUndefined()
    expect(await failures.look([nameOf(message)])).toEqual([])
  })

  test(`${name}: forgets no message whose discard is just being taken back`, async () => {
    const message = deadMessage('a')
    const { act, database, failures, retries } = await given(message)
    await act('discard', message)
    let forgetting: Promise<number> | undefined

    await database.transaction(async (tx) => {
      await failures.restore(tx, nameOf(message))
      forgetting = retries.forgetDiscarded(message.group, 0)
      await until('the one that forgets to wait for the one that restores', async () => {
        const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return (await database.outside.query(waiting)).rowCount > 0
      })
    })

    expect(await forgetting).toBe(0)
    expect(await failures.look([nameOf(message)])).toMatchObject([{ state: 'dead' }])
  })
}
