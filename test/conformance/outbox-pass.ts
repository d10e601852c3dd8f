import { expect, test } from 'vitest'
import { append, type Begin, type OutboxSubject, owner, row } from './outbox-subject.ts'

/** What one read of every outbox promises: see `Pass` and `PassResult`. */
export function outboxPassConformance<Tx>(name: string, begin: Begin<Tx>): void {
  test(`${name} shows the lowest rows first, no more than asked for, and says that there may be more`, async () => {
    const subject = await begin()
    await append(subject, [row('a'), row('b'), row('c')])
    const { read, topics } = await owner(subject)

    expect(await topics({ limit: 2 })).toEqual(['a', 'b'])
    expect((await read({ limit: 3 })).limited).toBe(true)
    expect((await read({ limit: 4 })).limited).toBe(false)
  })

  test(`${name} shows no more bytes than asked for, but always one row`, async () => {
    const subject = await begin()
    const value = Buffer.alloc(50_000)
    await append(subject, [row('a', { value }), row('b', { value }), row('c', { value }), row('d')])
    const { read, topics } = await owner(subject)

    expect(await topics({ bytesMax: 1 })).toEqual(['a'])
    expect(await topics({ bytesMax: 100_000 })).toEqual(['a', 'b'])
    expect((await read({ bytesMax: 100_000 })).limited).toBe(true)
  })

  test(`${name} shows rows above one number and up to another`, async () => {
    const subject = await begin()
    await append(subject, [row('a'), row('b'), row('c'), row('d')])
    const { rows, topics } = await owner(subject)
    const [a, , c] = await rows()

    expect(await topics({ after: a?.seq ?? 0n, upTo: c?.seq ?? 0n })).toEqual(['b', 'c'])
  })

  test(`${name} leaves out what is in flight, topics, lanes and held keys`, async () => {
    const subject = await begin()
    const [held, free] = [Buffer.from([0, 255, 34, 92]), Buffer.from('free')]
    await append(subject, [
      row('flying'),
      row('topic'),
      row('open'),
      row('lane', { keyHash: 7 }),
      row('lane', { keyHash: 8 }),
      row('keys', { key: held }),
      row('keys', { key: free }),
      row('keys', { key: null }),
      row('other', { key: held }),
    ])
    const { rows } = await owner(subject)
    const [flying] = await rows()

    const shown = await rows({
      inFlight: [flying?.seq ?? 0n],
      without: [
        { topic: 'topic', partition: undefined, partitions: 1 },
        { topic: 'lane', partition: 3, partitions: 4 },
      ],
      held: [{ topic: 'keys', key: held }],
    })

    expect(shown.map(({ topic, key, keyHash }) => [topic, topic === 'lane' ? keyHash : String(topic === 'keys' ? key : '')])).toEqual([
      ['open', ''],
      ['lane', 8],
      ['keys', 'free'],
      ['keys', 'null'],
      ['other', ''],
    ])
  })

  test(`${name} shows only some topics and lanes when asked`, async () => {
    const subject = await begin()
    await append(subject, [row('a'), row('b', { keyHash: 5 }), row('b', { keyHash: 6 }), row('c')])
    const { topics } = await owner(subject)
    const lane = { topic: 'b', partition: 1, partitions: 4 }
    const whole = { topic: 'b', partition: undefined, partitions: 1 }

    expect(await topics({ only: [lane, { topic: 'c', partition: undefined, partitions: 1 }] })).toEqual(['b', 'c'])
    expect(await topics({ only: [whole], without: [lane] })).toEqual(['b'])
    expect(await topics({ only: [] })).toEqual([])
  })

  test(`${name} knows the last number that was taken, also by a transaction that is not over or was rolled back`, async () => {
    const subject = await begin()
    await append(subject, [row('a')])
    const { read } = await owner(subject)
    const before = await read()

    const during = await open(subject, async () => await read())
    const after = await read()

    expect(before.lastNumber).toBe(before.rows.at(-1)?.seq)
    expect(during.lastNumber).toBe(before.lastNumber + 1n)
    expect(after.lastNumber).toBe(before.lastNumber + 1n)
    expect(after.rows).toEqual(before.rows)
  })

  test(`${name} of an outbox that nobody used knows no number`, async () => {
    const { read } = await owner(await begin())

    expect((await read()).lastNumber).toBe(0n)
  })

  test(`${name} names the transactions that are not over, in the snapshot of its rows`, async () => {
    const subject = await begin()
    const { store, read } = await owner(subject)

    const { during, number } = await open(subject, async (transactionId) => {
      const later = await store.newTransactionId()
      const assumption = { assumedRunning: [transactionId], namesRunningBelow: later }
      return { during: await read(assumption), number: transactionId }
    })
    const after = await read({ assumedRunning: [number], namesRunningBelow: await store.newTransactionId() })

    // Other tests have transactions on the same server.
    expect(during.assumptionHolds).toBe(true)
    expect(during.running).toContain(number)
    expect(during.oldestRunning).toBeLessThanOrEqual(number)
    expect(after.assumptionHolds).toBe(false)
    expect(after.running).not.toContain(number)
  })

  test(`${name} gives up a read that nobody answers in time, and answers the next`, async () => {
    const subject = await begin()
    await append(subject, [row('a')])
    const { read, topics } = await owner(subject)

    const slow = await subject.database.transaction(async (tx) => {
      await subject.database.queryable(tx).query('lock table trunkline.outbox in access exclusive mode')
      return await read({ withinMs: 50 }).catch((error: unknown) => error)
    })

    expect(slow).toMatchObject({ name: 'TransientError', code: 'STATEMENT_TOO_SLOW' })
    expect(await topics()).toEqual(['a'])
  })
}

/** Runs `work` while a transaction has taken a number and is not over; then that is rolled back. */
async function open<Tx, Result>(subject: OutboxSubject<Tx>, work: (transactionId: bigint) => Promise<Result>): Promise<Result> {
  const results: Result[] = []
  const rolledBack = subject.database.transaction(async (tx) => {
    const number = await subject.appender.append(tx, [row('never')], 'ours')
    results.push(await work(BigInt(number)))
    throw new Error('roll back')
  })
  await rolledBack.catch(() => undefined)
  const [result] = results
  if (result === undefined) throw new Error('The work failed.', { cause: await rolledBack.catch((error: unknown) => error) })
  return result
}
