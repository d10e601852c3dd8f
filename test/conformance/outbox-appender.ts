import { expect, test } from 'vitest'
import { packHeaders, unpackHeaders } from '../../src/core/broker/header-bytes.ts'
import { append, type Begin, owner, row } from './outbox-subject.ts'

/** What the write side of every outbox promises: see `OutboxAppender`. */
export function outboxAppenderConformance<Tx>(name: string, begin: Begin<Tx>): void {
  test(`${name} keeps the order in which rows were appended, within a statement and across transactions`, async () => {
    const subject = await begin()

    await append(subject, [row('a'), row('b'), row('c')])
    await append(subject, [row('d')])

    const rows = await (await owner(subject)).rows()
    expect(rows.map(({ topic }) => topic)).toEqual(['a', 'b', 'c', 'd'])
    expect(rows.every(({ seq }, index) => index === 0 || seq > (rows[index - 1]?.seq ?? 0n))).toBe(true)
  })

  test(`${name} keeps nothing when the transaction rolls back`, async () => {
    const subject = await begin()

    const aborted = subject.database.transaction(async (tx) => {
      await subject.appender.append(tx, [row('a')], 'ours')
      await subject.appender.schedule(tx, [{ ...row('b'), notBefore: new Date(0) }], 'ours')
      throw new Error('abort')
    })

    await expect(aborted).rejects.toThrow('abort')
    const { store, term, topics } = await owner(subject)
    expect(await topics()).toEqual([])
    expect(await store.moveDue(term, 10)).toEqual({ moved: 0, nextInMs: undefined })
  })

  test(`${name} gives the number of the transaction, for rows of now and for rows of later`, async () => {
    const subject = await begin()

    const [appended, scheduled, assigned] = await subject.database.transaction(async (tx) => {
      const first = await subject.appender.append(tx, [row('a')], 'ours')
      const second = await subject.appender.schedule(tx, [{ ...row('b'), notBefore: new Date() }], 'ours')
      const { rows } = await subject.database.queryable(tx).query('select pg_current_xact_id_if_assigned()::text as number')
      return [first, second, rows[0]?.['number']]
    })

    expect(appended).toMatch(/^\d+$/)
    expect([appended, scheduled]).toEqual([assigned, assigned])
  })

  test(`${name} keeps every byte of key, value and headers, and tells null from empty`, async () => {
    const subject = await begin()
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const headers = packHeaders([
      ['twice', Buffer.from('1')],
      ['twice', bytes],
      ['empty', Buffer.alloc(0)],
    ])
    const written = [
      row('bytes', { key: bytes, value: bytes, headers }),
      row('nulls', { key: null, value: null }),
      row('empty', { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: Buffer.alloc(0) }),
    ]

    await append(subject, written)
    await subject.database.transaction((tx) =>
      subject.appender.schedule(
        tx,
        written.map((each) => ({ ...each, notBefore: new Date(0) })),
        'ours',
      ),
    )

    const { store, term, rows } = await owner(subject)
    await store.moveDue(term, 10)
    const expected = written.map(({ id, topic, key, value, headers: packed }) => ({
      id,
      topic,
      key,
      value,
      headers: unpackHeaders(packed),
    }))
    const kept = (await rows()).map(({ id, topic, key, value, headers: pairs }) => ({ id, topic, key, value, headers: pairs }))
    expect(kept).toEqual([...expected, ...expected])
  })
}
