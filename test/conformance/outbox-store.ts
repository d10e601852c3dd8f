import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { outboxAppenderConformance } from './outbox-appender.ts'
import { outboxPassConformance } from './outbox-pass.ts'
import { append, type Begin, fetchAll, holdOf, leaseMs, onlyRow, owner, row, takeOver, termOf } from './outbox-subject.ts'

/** What every outbox promises: see the ports in `core/outbox/outbox-store.ts`. */
export function outboxStoreConformance<Tx>(name: string, begin: Begin<Tx>): void {
  describe(`${name}: the write side`, () => outboxAppenderConformance('it', begin))
  describe(`${name}: a pass`, () => outboxPassConformance('it', begin))
  describe(`${name}: removal`, () => removal(begin))
  describe(`${name}: held keys`, () => heldKeys(begin))
  describe(`${name}: messages for later`, () => scheduled(begin))
  describe(`${name}: a look`, () => looks(begin))
  describe(`${name}: the lease`, () => lease(begin))
  describe(`${name}: calls`, () => calls(begin))
}

function removal<Tx>(begin: Begin<Tx>): void {
  test('takes away the rows that were acknowledged and no others', async () => {
    const subject = await begin()
    const { store, term, rows, topics } = await owner(subject)
    await append(subject, [row('a'), row('b'), row('c')])

    await store.remove(
      term,
      (await rows()).filter(({ topic }) => topic !== 'b'),
    )

    expect(await topics()).toEqual(['b'])
  })

  test('leaves a row that has the number of another message', async () => {
    const subject = await begin()
    const { store, term, topics } = await owner(subject)
    await append(subject, [row('a')])

    // After a crash of the server a number can come again, for another message.
    const removed = await store.remove(term, [{ ...(await onlyRow(subject)), id: randomUUID() }])

    expect(removed).not.toBe(undefined)
    expect(await topics()).toEqual(['a'])
  })

  test('tells its transaction, which began after everything that was read before', async () => {
    const subject = await begin()
    const { store, term, read } = await owner(subject)
    const before = await append(subject, [row('a')])
    const { rows } = await read()

    const [removedBy, later] = [await store.remove(term, rows), await store.newTransactionId()]

    expect(removedBy).toBeGreaterThan(BigInt(before))
    expect(later).toBeGreaterThan(removedBy ?? 0n)
  })

  test('stores the partition count that came first', async () => {
    const { store, term } = await owner(await begin())

    const counts = [await store.partitionsOf(term, 'orders', 4), await store.partitionsOf(term, 'orders', 8)]

    expect(counts).toEqual([4, 4])
  })
}

function heldKeys<Tx>(begin: Begin<Tx>): void {
  test('are remembered with what people ask for, also for the next owner', async () => {
    const subject = await begin()
    const { store, term, rows } = await owner(subject)
    await append(subject, [row('a'), row('b', { key: null })])
    const [a, b] = (await rows()).map(holdOf)
    if (a === undefined || b === undefined) throw new Error('There are no rows.')

    await store.hold(term, a)
    await store.hold(term, b)
    await subject.database.outside.query(
      "update trunkline.outbox_held_key set request = 'discard', requested_at = now() where head_id = $1",
      [b.headId],
    )
    await store.release(term)

    const next = await owner(subject)
    expect(await next.store.holds(next.term)).toEqual([
      { ...a, request: undefined },
      { ...b, request: 'discard' },
    ])
  })

  test('are loaded however many there are, and asked for as far as somebody wants something', async () => {
    const subject = await begin()
    const { store, term } = await owner(subject)
    await subject.database.outside.query(
      `insert into trunkline.outbox_held_key (topic, key, head_seq, head_id, reason_code, reason, request, requested_at)
       select 'many', number::text::bytea, number, gen_random_uuid(), '', '',
              case when number in (7, 20000) then 'redrive' end, case when number in (7, 20000) then trunkline.now() end
         from generate_series(1, 20001) as number`,
    )

    const all = await store.holds(term)
    const asked = await store.requests(term)

    expect(new Set(all?.map(({ key }) => String(key))).size).toBe(20_001)
    expect(asked?.map(({ key, request }) => `${String(key)} ${request}`)).toEqual(['7 redrive', '20000 redrive'])
  })

  test('are held once, whatever is refused of them later', async () => {
    const subject = await begin()
    const { store, term, rows } = await owner(subject)
    const key = Buffer.from('k')
    await append(subject, [row('a', { key }), row('a', { key })])
    const [first, second] = (await rows()).map(holdOf)
    if (first === undefined || second === undefined) throw new Error('There are no rows.')

    await store.hold(term, first)
    await store.hold(term, second)

    expect(await store.holds(term)).toEqual([{ ...first, request: undefined }])
  })

  test('redriven, are forgotten, and their rows stay', async () => {
    const subject = await begin()
    const { store, term, rows, topics } = await owner(subject)
    await append(subject, [row('a')])
    for (const each of await rows()) await store.hold(term, holdOf(each))

    for (const hold of (await store.holds(term)) ?? []) await store.unhold(term, hold, 'redrive')

    expect(await store.holds(term)).toEqual([])
    expect(await topics()).toEqual(['a'])
  })

  test('discarded, lose their first message, which is kept elsewhere', async () => {
    const subject = await begin()
    const { store, term, rows } = await owner(subject)
    const key = Buffer.from('k')
    await append(subject, [row('a', { key }), row('a', { key })])
    const [first, second] = await rows()
    if (first !== undefined) await store.hold(term, holdOf(first))

    for (const hold of (await store.holds(term)) ?? []) await store.unhold(term, hold, 'discard')

    expect(await rows()).toEqual([second])
    const kept = await subject.database.outside.query('select id, topic, key, value, reason_code from trunkline.outbox_discarded')
    expect(kept.rows).toEqual([{ id: first?.id, topic: 'a', key, value: first?.value, reason_code: 'TOO_LARGE' }])
  })
}

function scheduled<Tx>(begin: Begin<Tx>): void {
  test('move when they are due, the earliest first, and not before', async () => {
    const subject = await begin()
    const later = (topic: string, notBefore: number) => ({ ...row(topic), notBefore: new Date(notBefore) })
    await subject.database.transaction((tx) =>
      subject.appender.schedule(tx, [later('second', 2_000), later('future', Date.now() + 3_600_000), later('first', 1_000)], 'ours'),
    )
    await append(subject, [row('now')])
    const { store, term, topics } = await owner(subject)

    const due = await store.moveDue(term, 10)

    expect(due?.moved).toBe(2)
    expect(due?.nextInMs).toBeGreaterThan(3_500_000)
    expect(due?.nextInMs).toBeLessThanOrEqual(3_600_000)
    expect(await topics()).toEqual(['now', 'first', 'second'])
  })

  test('move no more than asked for, and the rest is due at once', async () => {
    const subject = await begin()
    const rows = ['a', 'b', 'c'].map((topic, index) => ({ ...row(topic), notBefore: new Date(index) }))
    await subject.database.transaction((tx) => subject.appender.schedule(tx, rows, 'ours'))
    const { store, term, topics } = await owner(subject)

    expect(await store.moveDue(term, 2)).toEqual({ moved: 2, nextInMs: 0 })
    expect(await store.moveDue(term, 2)).toEqual({ moved: 1, nextInMs: undefined })
    expect(await topics()).toEqual(['a', 'b', 'c'])
  })
}

function looks<Tx>(begin: Begin<Tx>): void {
  test('tells the last number that anybody took, whether its row was committed or not', async () => {
    const subject = await begin()
    const { store, term, read } = await owner(subject)
    const before = await store.look(term, 30_000)
    await append(subject, [row('a'), row('b')])
    await subject.database
      .transaction(async (tx) => {
        await subject.appender.append(tx, [row('never')], 'ours')
        throw new Error('taken back')
      })
      .catch(() => undefined)

    const after = await store.look(term, 30_000)

    expect(before?.lastNumber).toBe(0n)
    expect(after?.lastNumber).toBe(3n)
    expect((await read()).lastNumber).toBe(3n)
  })

  test('tells when the next message for later is due', async () => {
    const subject = await begin()
    const { store, term } = await owner(subject)
    const dueInMs = async () => (await store.look(term, 30_000))?.dueInMs
    const schedule = async (notBefore: number): Promise<void> => {
      await subject.database.transaction((tx) =>
        subject.appender.schedule(tx, [{ ...row('later'), notBefore: new Date(notBefore) }], 'ours'),
      )
    }

    const without = await dueInMs()
    await schedule(Date.now() + 3_600_000)
    const inAnHour = await dueInMs()
    await schedule(1_000)
    const already = await dueInMs()

    expect(without).toBe(undefined)
    expect(inAnHour).toBeGreaterThan(3_500_000)
    expect(inAnHour).toBeLessThanOrEqual(3_600_000)
    expect(already).toBe(0)
  })
}

function lease<Tx>(begin: Begin<Tx>): void {
  test('has one owner at a time', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])

    const answers = await Promise.all([one.acquire('one', leaseMs), two.acquire('two', leaseMs)])

    expect(answers.filter(({ term }) => term !== undefined)).toHaveLength(1)
  })

  test('tells who does not get it for how long it still lasts', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])
    const term = await termOf(one)
    const first = await two.acquire('two', leaseMs)
    await one.renew(term, 2 * leaseMs, 0n)

    const second = await two.acquire('two', leaseMs)

    expect(first.heldForMs).toBeGreaterThan(leaseMs / 2)
    expect(first.heldForMs).toBeLessThanOrEqual(leaseMs)
    expect(second.heldForMs).toBeGreaterThan(leaseMs)
  })

  test('goes to who asks when that time is over', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])
    await termOf(one, 300)
    const { heldForMs } = await two.acquire('two', leaseMs)

    await pause(heldForMs + 1)
    const { term } = await two.acquire('two', leaseMs)

    expect(term).toMatchObject({ owner: 'two' })
  })

  test('passes to the next one at once when it is released, with a higher epoch', async () => {
    const subject = await begin()
    const [one, two] = await Promise.all([subject.open(), subject.open()])
    const first = await termOf(one)

    await one.release(first)
    const { term: second } = await two.acquire('two', leaseMs)

    expect(second?.epoch).toBeGreaterThan(first.epoch)
    expect(await one.renew(first, leaseMs, 0n)).toBe(false)
  })

  test('comes back to its owner at once, with a higher epoch; the former term has ended', async () => {
    const subject = await begin()
    const [one, again] = await Promise.all([subject.open(), subject.open()])
    const first = await termOf(one)

    const second = await termOf(again)

    expect(second.epoch).toBeGreaterThan(first.epoch)
    expect(await one.renew(first, leaseMs, 0n)).toBe(false)
    expect(await again.renew(second, leaseMs, 7n)).toBe(true)
  })

  test('once lost, allows nothing any more: no read, no write', async () => {
    const subject = await begin()
    await append(subject, [row('a')])
    await subject.database.transaction((tx) => subject.appender.schedule(tx, [{ ...row('b'), notBefore: new Date(0) }], 'ours'))
    const { store, term } = await owner(subject)
    const pending = await onlyRow(subject)
    await store.hold(term, holdOf(pending))

    await takeOver(subject)

    expect(await fetchAll(store, term)).toBe(undefined)
    expect(await store.look(term, 30_000)).toBe(undefined)
    expect(await store.renew(term, leaseMs, 0n)).toBe(false)
    expect(await store.remove(term, [pending])).toBe(undefined)
    expect(await store.holds(term)).toBe(undefined)
    expect(await store.requests(term)).toBe(undefined)
    expect(await store.hold(term, { ...holdOf(pending), key: Buffer.from('other'), headId: randomUUID() })).toBe(false)
    expect(await store.unhold(term, { ...holdOf(pending), request: 'discard' }, 'discard')).toBe(false)
    expect(await store.moveDue(term, 10)).toBe(undefined)
    expect(await store.partitionsOf(term, 'orders', 4)).toBe(undefined)
    await subject.database.outside.query("update trunkline.outbox_lease set owner = null, expires_at = '-infinity'")
    const next = await owner(subject)
    expect(await next.topics()).toEqual(['a'])
    expect(await next.store.holds(next.term)).toHaveLength(1)
    expect(await next.store.partitionsOf(next.term, 'orders', 8)).toBe(8)
  })

  test('does not show rows to an owner whose time has run out, even when nobody else came', async () => {
    const subject = await begin()
    const store = await subject.open()
    await append(subject, [row('a')])
    const term = await termOf(store, 1)

    expect(await fetchAll(store, term)).toBe(undefined)
  })
}

function calls<Tx>(begin: Begin<Tx>): void {
  test('of an owner that leaves in order reach the stand-bys', async () => {
    const subject = await begin()
    const heard = Promise.withResolvers<void>()
    const standBy = await subject.open({ onVacant: heard.resolve })
    expect(await standBy.hears()).toBe(true)
    const { store, term } = await owner(subject)

    await store.release(term)

    await expect(heard.promise).resolves.toBe(undefined)
  })
}
