import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { PostgresInboxStore, PostgresInboxUpkeep } from '../../../src/adapters/postgres/inbox-store.ts'
import type { InboxClaim } from '../../../src/core/inbox/inbox-store.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { until } from '../../kit/wait.ts'
import { openDatabase } from './open-database.ts'

const KEEP_MS = 14 * 86_400_000

/** A database whose clock a test can move. */
async function inboxes() {
  const { url } = await createTestDatabase()
  const at = async (shift: string) => {
    const option = encodeURIComponent(`-c trunkline.shift=${shift.replaceAll(' ', '\\ ')}`)
    const { database } = await openDatabase({ url: `${url}?options=${option}` })
    const inbox = new PostgresInboxStore(database)
    const upkeep = new PostgresInboxUpkeep(database)
    const isNew = async (claim: InboxClaim): Promise<boolean> =>
      await database.transaction(async (tx) => (await inbox.claim(tx, 'g', [claim])).has(claim.id))
    const partitionOf = async ({ id }: InboxClaim): Promise<unknown> =>
      (
        await database.outside.query(
          'select relname as name from trunkline.inbox as kept join pg_class on pg_class.oid = kept.tableoid where id = $1',
          [id],
        )
      ).rows[0]?.['name']
    return { database, inbox, upkeep, isNew, partitionOf }
  }
  return { at, now: await at('0 hours') }
}

function claimAt(ms: number): InboxClaim {
  return { id: randomUUID(), slot: ms }
}

test('an id is new once for each group', async () => {
  const { now } = await inboxes()
  const claim = claimAt(Date.now())

  const first = await now.isNew(claim)
  const again = await now.isNew(claim)
  const other = await now.database.transaction((tx) => now.inbox.claim(tx, 'other', [claim]))

  expect([first, again, other.has(claim.id)]).toEqual([true, false, true])
})

test('batches that claim the same ids in another order wait for each other, and do not deadlock', async () => {
  const { at, now } = await inboxes()
  const other = await at('0 hours')
  await now.upkeep.tend(KEEP_MS)
  for (let round = 0; round < 20; round++) {
    const claims = Array.from({ length: 50 }, () => claimAt(Date.now()))
    const claimed = await Promise.all([
      now.database.transaction((tx) => now.inbox.claim(tx, 'g', claims)),
      other.database.transaction((tx) => other.inbox.claim(tx, 'g', claims.toReversed())),
    ])

    expect(claimed.map(({ size }) => size).toSorted((a, b) => a - b)).toEqual([0, 50])
  }
})

test('a message that is sent again after midnight, or days later, meets its row', async () => {
  const { at, now } = await inboxes()
  await now.upkeep.tend(KEEP_MS)
  const claim = claimAt(Date.now())
  await now.isNew(claim)

  for (const shift of ['1 hour', '1 day', '13 days']) {
    const later = await at(shift)
    await later.upkeep.tend(KEEP_MS)
    expect(await later.isNew(claim)).toBe(false)
  }
})

test('what is older than it is kept for is dropped by the day, and what is younger stays', async () => {
  const { at, now } = await inboxes()
  await now.upkeep.tend(KEEP_MS)
  const old = claimAt(Date.now())
  const young = claimAt(Date.now() + 2 * 86_400_000)
  for (const claim of [old, young]) await now.isNew(claim)

  const later = await at('16 days')
  const tended = await later.upkeep.tend(KEEP_MS)

  expect(tended).toMatchObject({ opened: 3, dropped: 2 })
  expect(await later.isNew(young)).toBe(false)
  expect(await later.isNew(old)).toBe(true)
})

test('a message that was handled long after its id was made is remembered as long as any other', async () => {
  const { at, now } = await inboxes()
  await now.upkeep.tend(KEEP_MS)
  const [soon, late] = [claimAt(Date.now()), claimAt(Date.now())]
  await now.isNew(soon)
  await (await at('13 days')).isNew(late)

  const tended = await (await at('16 days')).upkeep.tend(KEEP_MS)
  const sentAgain = await (await at('26 days')).isNew(late)
  await (await at('28 days')).upkeep.tend(KEEP_MS)

  expect(tended).toMatchObject({ dropped: 2, moved: 1 })
  expect(sentAgain).toBe(false)
  expect(await now.isNew(soon)).toBe(true)
  expect(await now.isNew(late)).toBe(true)
})

test('a day stays whole while more of it was handled late than may move at once', async () => {
  const { at, now } = await inboxes()
  await now.upkeep.tend(KEEP_MS)
  const late = Array.from({ length: 4 }, () => claimAt(Date.now()))
  const handling = await at('13 days')
  for (const claim of late) await handling.isNew(claim)
  const tend = async (shift: string) => {
    const { database, partitionOf } = await at(shift)
    const tended = await new PostgresInboxUpkeep(database, 3).tend(KEEP_MS)
    return { dropped: tended?.dropped, place: late[0] && (await partitionOf(late[0])) }
  }

  const early = await tend('16 days')
  const end = await tend('28 days')

  expect(early).toMatchObject({ dropped: 1, place: expect.stringMatching(/^inbox_\d{8}$/) })
  expect(end).toMatchObject({ place: undefined })
})

test('what was claimed before its day was opened moves there, and is still known', async () => {
  const { now } = await inboxes()
  const claim = claimAt(Date.now())
  await now.isNew(claim)
  const before = await now.partitionOf(claim)

  await now.upkeep.tend(KEEP_MS)

  expect(before).toBe('inbox_rest')
  expect(await now.partitionOf(claim)).toMatch(/^inbox_\d{8}$/)
  expect(await now.isNew(claim)).toBe(false)
})

test.for([
  ['without a time', 0],
  ['of years ago', Date.parse('2019-01-01T00:00:00Z')],
  ['of a clock that is wrong', 2 ** 48 - 1],
] as const)('a message %s is forgotten by when it was handled', async ([, slot]) => {
  const { at, now } = await inboxes()
  const claim = { id: randomUUID(), slot }
  await now.isNew(claim)

  await (await at('13 days')).upkeep.tend(KEEP_MS)
  const after13Days = await now.isNew(claim)
  const tended = await (await at('15 days')).upkeep.tend(KEEP_MS)
  const after15Days = await now.isNew(claim)

  expect(after13Days).toBe(false)
  expect(tended).toMatchObject({ pruned: 1 })
  expect(after15Days).toBe(true)
})

test('a day is emptied while handlers run without a break, and dropped when the inbox is free for a moment', async () => {
  const { at, now } = await inboxes()
  await now.upkeep.tend(KEEP_MS)
  const [old, late, timeless] = [claimAt(Date.now()), claimAt(Date.now()), { id: randomUUID(), slot: 0 }]
  for (const claim of [old, timeless]) await now.isNew(claim)
  await (await at('13 days')).isNew(late)
  const day = await now.partitionOf(late)
  const [later, afterwards] = [await at('16 days'), await at('16 days')]

  const meanwhile = await now.database.transaction(async (tx) => {
    await now.inbox.claim(tx, 'g', [claimAt(Date.now() + 2 * 86_400_000)])
    const tended = await later.upkeep.tend(KEEP_MS)
    const again = await later.upkeep.tend(KEEP_MS)
    const { rows } = await now.database.outside.query(`select id from trunkline.${String(day)}`)
    return { tended, again, kept: rows.map(({ id }) => id) }
  })
  const dropped = await afterwards.upkeep.tend(KEEP_MS)

  expect(meanwhile).toMatchObject({ tended: { dropped: 0, waiting: 2, pruned: 1 }, again: { waiting: 0 }, kept: [late.id] })
  expect(dropped).toMatchObject({ dropped: 2, waiting: 0, moved: 1 })
  expect(await later.isNew(late)).toBe(false)
  expect(await later.isNew(old)).toBe(true)
})

test('the more days wait to be dropped, the longer handlers may take until the inbox is free', async () => {
  const { at, now } = await inboxes()
  await now.upkeep.tend(KEEP_MS)
  await now.database.outside.query(oldDaysSql)
  const later = await at('0 hours')
  const waitsFor = async (ms: number): Promise<boolean> => (await now.database.outside.query(waitingSql, [ms])).rows.length > 0

  const tending = await now.database.transaction(async (tx) => {
    await now.inbox.claim(tx, 'g', [claimAt(Date.now())])
    const running = later.upkeep.tend(KEEP_MS)
    await until('it to wait for longer than for one day', () => waitsFor(600))
    return { running }
  })

  expect(await tending.running).toMatchObject({ dropped: 10, waiting: 0 })
})

test('only one process at a time tends the inbox', async () => {
  const { at, now } = await inboxes()
  const other = await at('0 hours')

  const tended = await now.database.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock(hashtextextended('trunkline.inbox', 0))")
    return await other.upkeep.tend(KEEP_MS)
  })

  expect(tended).toBeUndefined()
})

test('a build that still counts in hours opens no day, and the day is opened by one that does not', async () => {
  const { now } = await inboxes()
  const hour = Math.floor(Date.now() / 86_400_000) * 24
  const name = `inbox_${new Date(hour * 3_600_000).toISOString().slice(0, 10).replaceAll('-', '')}`

  const opening = now.database.outside.query('select trunkline.open_inbox($1, $2, $3) is null as opened', [name, hour, hour + 24])

  await expect(opening).rejects.toThrow('not the day of')
  expect(await now.upkeep.tend(KEEP_MS)).toMatchObject({ opened: 3 })
})

const oldDaysSql = `
  select trunkline.open_inbox('inbox_202001' || lpad(day::text, 2, '0'), day_ms * (18261 + day), day_ms * (18262 + day))
    from generate_series(1, 10) as day, (values (86400000::bigint)) as one (day_ms)`

const waitingSql = `
  select from pg_locks
   where relation = 'trunkline.inbox'::regclass and not granted and waitstart < clock_timestamp() - $1 * interval '1 millisecond'`
