import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import { aroundOutbox } from '../../kit/broken/around-outbox.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench, repeat } from './relay-bench.ts'

/** So many rows for a topic, in one statement. */
const fillSql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  select 0, number, $1, gen_random_uuid(), number::text::bytea, '', '' from generate_series(1, $2::int) as number`

describe('a topic that takes nothing', () => {
  test('with 20,000 messages holds nobody up: its rows are read once, then passed over', async () => {
    const bench = await RelayBench.open({ good: 1 })
    await bench.query(fillSql, ['dead', 20_000])
    await bench.publish('good', 'a')
    const relay = bench.assembly({ passSize: 2_000, retryMax: '10m' })
    const witness = new Witness(relay.diagnostics)

    await relay.start({ run: ['relay'] })
    await until('the neighbour', async () => (await bench.messages('good'))[0]?.length === 1)
    const read = witness.all('relay.pass').reduce((sum, { rows }) => sum + rows, 0)
    await bench.publish('good', ...repeat(['a', 'b'], 10))
    await until('later neighbours', async () => (await bench.messages('good'))[0]?.length === 21)

    // One pass met the topic; the next ones left it out.
    expect(read).toBeLessThanOrEqual(4_001)
    expect(await bench.waiting()).toBeGreaterThanOrEqual(20_000)
  })

  test('flows in its order when it takes messages again, those of meanwhile included', async () => {
    const bench = await RelayBench.open({ good: 1 })
    const relay = bench.assembly({ passSize: 7, laneSize: 5, batchSize: 3, retryMax: '100ms' })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('late', ...repeat(['a', 'b', 'c'], 10))
    await witness.saw('relay.refused', ({ topic }) => topic === 'late')
    await bench.publish('good', ...repeat(['g'], 5))

    await bench.create('late', 2)
    await bench.publish('late', ...repeat(['a', 'b', 'c'], 10))
    await bench.relayed()

    expect(await bench.violations('late', 'good')).toEqual([])
  })
})

describe('a transaction that stays open', () => {
  test('holds nobody up, and what it publishes is sent when it commits', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly()
    await relay.start({ run: ['relay'] })
    const open = await bench.pool.connect()
    await open.query('begin')
    await open.query("insert into source (key, version) values ('late', 1)")
    await open.query("insert into committed (operation, key, version) values ('', 'late', 1)")
    await open.query(bench.insertSql('t', 'late', 1))

    // Longer than the patience of the mark, so that it moves under its assumption.
    for (let round = 0; round < 8; round++) {
      await bench.publish('t', ...repeat(['a', 'b'], 3))
      await bench.relayed()
      await pause(60)
    }
    const meanwhile = (await bench.messages('t'))[0]?.length
    await open.query('commit')
    open.release()
    await bench.publish('t', 'late', 'a')
    await bench.relayed()

    expect(meanwhile).toBe(48)
    expect((await bench.messages('t'))[0]).toContain('late1')
    expect(await bench.violations('t')).toEqual([])
  })

  test('that rolls back leaves a number behind, and nothing waits for it', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly()
    await relay.start({ run: ['relay'] })
    const open = await bench.pool.connect()
    await open.query('begin')
    await open.query(bench.insertSql('t', 'never', 1))
    await bench.publish('t', 'a')
    await open.query('rollback')
    open.release()

    await bench.publish('t', 'a')
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['a1', 'a2']])
  })
})

describe('a message for later', () => {
  test('is sent when it is due, behind what was published meanwhile', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly()
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    const message = countedOn('t')({ key: 'a', version: 1 })
    const notBefore = new Date(Date.now() + 700)
    await relay.transaction((tx) => relay.database.publisher.publish(tx, [{ message, notBefore }]))
    await bench.query("insert into committed (operation, key, version) values ('', 'a', 1)")
    await bench.publish('t', 'b')
    await bench.relayed()

    const before = await bench.messages('t')
    await witness.saw('relay.due')
    await until('the message', async () => (await bench.messages('t'))[0]?.length === 2)

    expect(before).toEqual([['b1']])
    expect(Date.now()).toBeGreaterThanOrEqual(notBefore.getTime())
    expect(await bench.messages('t')).toEqual([['b1', 'a1']])
  })
})

describe('a server that lets nobody listen', () => {
  test('is told of once, and polling finds what is published', async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly({}, { outboxes: (real) => aroundOutbox(real, () => ({ hears: async () => false })) })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.polling_only')

    await bench.publish('t', 'a')
    await bench.query("update trunkline.outbox_lease set owner = null, epoch = epoch + 1, expires_at = '-infinity'")
    await witness.saw('relay.term_started', () => true, 2)
    await bench.publish('t', 'a')
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['a1', 'a2']])
    expect(witness.count('relay.polling_only')).toBe(1)
  })
})

describe('a relay with nothing to do', () => {
  /** Four times its longest pause of 10 ms; a timer may be a little early. */
  const RESTING_MS = 39

  /** When the relay looked, as far as it hears, or seems to. */
  async function looking({
    hears,
    tooSlow = false,
    found,
  }: {
    readonly hears: boolean
    readonly tooSlow?: boolean
    found?: () => Promise<void>
  }) {
    const bench = await RelayBench.open({ t: 1 })
    const atMs: number[] = []
    const asked = { passes: 0, due: 0, looks: 0 }
    const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
      aroundOutbox(real, (store) => ({
        hears: async () => hears,
        fetchPending: async (term, pass) => {
          atMs.push(performance.now())
          // The sweep reads one row.
          if (pass.limit > 1) asked.passes++
          const result = await store.fetchPending(term, pass)
          if (pass.limit > 1 && (result?.rows.length ?? 0) > 0) await found?.()
          return result
        },
        look: async (term, withinMs) => {
          atMs.push(performance.now())
          asked.looks++
          if (tooSlow) throw new TransientError('STATEMENT_TOO_SLOW', 'too slow')
          return await store.look(term, withinMs)
        },
        moveDue: (term, limit) => {
          asked.due++
          return store.moveDue(term, limit)
        },
      }))
    const relay = bench.assembly({ idleDelay: '10ms' }, { outboxes })
    await relay.start({ run: ['relay'] })
    // It calls its own relay at once: another process's call may come too late on a busy machine.
    const message = countedOn('t')({ key: 'a', version: 1 })
    await relay.transaction((tx) => relay.database.publisher.publish(tx, [{ message }]))
    await bench.relayed()
    const gaps = (count: number): number[] =>
      atMs.slice(-count - 1).flatMap((at, index, all) => (index === 0 ? [] : [at - (all[index - 1] ?? 0)]))
    return {
      bench,
      relay,
      asked,
      /** Thirty looks, longer than it takes to ask for what is due where nobody looks, in which it asked for nothing else. */
      onlyLooked: () =>
        until('looks alone', async () => {
          const [looks, { passes, due }] = [atMs.length, { ...asked }]
          await until('thirty looks', () => atMs.length >= looks + 30)
          return asked.passes === passes && asked.due === due
        }),
      /** Six pauses in a row. */
      rested: () => until('a rest', () => atMs.length > 6 && gaps(6).every((gap) => gap >= RESTING_MS)),
      /** After many more looks it still is as often there. */
      awake: async () => {
        const before = atMs.length
        await until('sixty looks', () => atMs.length >= before + 60)
        return gaps(30).some((gap) => gap < RESTING_MS)
      },
    }
  }

  /** As somebody publishes for later whom nobody hears. */
  function scheduledSql(bench: RelayBench, key: string, dueAtMs: number): string {
    const sql = bench.insertSql('t', key, 1).replace('outbox (bucket', 'outbox_scheduled (due_at, bucket')
    return sql.replace('values (', `values (to_timestamp(${dueAtMs / 1_000}), `)
  }

  /** As somebody publishes whom nobody hears. */
  async function insertUncalled(bench: RelayBench): Promise<void> {
    await bench.query(bench.insertSql('t', 'uncalled', 1))
    await bench.relayed()
  }

  test('rests where calls reach it', async () => {
    const { rested } = await looking({ hears: true })

    await expect(rested()).resolves.toBe(true)
  })

  test('rests where the call came while it read what was called for', async () => {
    const [reads, called] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let holdsUp = false
    const found = async (): Promise<void> => {
      if (!holdsUp) return
      reads.resolve()
      await called.promise
    }
    const { bench, relay, rested } = await looking({ hears: true, found })
    await rested()

    holdsUp = true
    await bench.query(bench.insertSql('t', 'b', 1))
    await reads.promise
    relay.relay.wake()
    called.resolve()
    await bench.relayed()

    await expect(rested()).resolves.toBe(true)
  })

  test('does not rest where no calls reach it', async () => {
    const { awake } = await looking({ hears: false })

    expect(await awake()).toBe(true)
  })

  test('does not rest after a row came for which nobody called', async () => {
    const { bench, awake } = await looking({ hears: true })

    await insertUncalled(bench)

    expect(await awake()).toBe(true)
  })

  test('rests after a row that it found just before it was called for it', async () => {
    const { bench, relay, rested } = await looking({ hears: true })
    relay.diagnostics.on(({ name }) => {
      if (name === 'relay.pass') relay.relay.wake()
    })

    await insertUncalled(bench)

    await expect(rested()).resolves.toBe(true)
  })

  test('reads nothing and asks for nothing else while it rests, and finds a row all the same', async () => {
    const { bench, onlyLooked } = await looking({ hears: true })

    await onlyLooked()
    await insertUncalled(bench)

    expect(await bench.messages('t')).toEqual([['a1', 'uncalled1']])
  })

  test('finds a row whose number was taken before it rested, and that was committed without a call', async () => {
    const { bench, relay, asked } = await looking({ hears: true })
    const witness = new Witness(relay.diagnostics)
    const open = await bench.pool.connect()
    await open.query('begin')
    await open.query(bench.insertSql('t', 'late', 1))
    const { passes } = asked
    // It rests after 25 of them; while the number is not decided it does not do with less.
    await until('passes', () => asked.passes > passes + 40)

    await open.query('commit')
    open.release()
    await bench.relayed()

    expect(await bench.messages('t')).toEqual([['a1', 'late1']])
    expect(witness.count('relay.overlooked')).toBe(0)
  })

  test('finds a row also where its looks are too slow', async () => {
    const { bench, asked } = await looking({ hears: true, tooSlow: true })
    await until('a look', () => asked.looks > 0)

    await insertUncalled(bench)

    expect(await bench.messages('t')).toEqual([['a1', 'uncalled1']])
  })

  test('moves a message for later when it is due, also when it was published while it rested', async () => {
    const { bench, relay, onlyLooked } = await looking({ hears: true })
    const witness = new Witness(relay.diagnostics)
    await onlyLooked()

    const notBefore = Date.now() + 300
    await bench.query(scheduledSql(bench, 'later', notBefore))
    await witness.saw('relay.due')
    await bench.relayed()

    expect(Date.now()).toBeGreaterThanOrEqual(notBefore)
    expect(await bench.messages('t')).toEqual([['a1', 'later1']])
  })

  test('asks for a message that is due already with the look that sees it, whatever the looks before it saw', async () => {
    const { bench, asked, onlyLooked } = await looking({ hears: true })
    await onlyLooked()

    await bench.query(scheduledSql(bench, 'now', Date.now()))
    const { looks, due } = { ...asked }
    await until('a question', () => asked.due > due)

    // A second is 25 looks.
    expect(asked.looks - looks).toBeLessThanOrEqual(5)
  })

  test('looks for what operators ask for four times a second while a key is held, however long its pauses are', async () => {
    const bench = await RelayBench.open({ t: 1 })
    let looked = 0
    const outboxes = (real: OutboxStoreFactory): OutboxStoreFactory =>
      aroundOutbox(real, (store) => ({
        requests: (term) => {
          looked++
          return store.requests(term)
        },
      }))
    const refusing = faults((_, __, messages) => (messages.includes('a1') ? 'refused record' : undefined))
    const relay = bench.assembly({ idleDelay: '1m' }, { ...refusing, outboxes })
    const witness = new Witness(relay.diagnostics)
    await bench.publish('t', 'a')
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.held')

    // With pauses that double, the eleventh look would come after half a minute.
    await until('eleven looks', () => looked >= 11)

    expect(witness.count('relay.term_started')).toBe(1)
  })
})

describe('the sweep', () => {
  test('finds what was overlooked, tells of it and sends it', { timeout: 40_000 }, async () => {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly()
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', ...repeat(['a'], 5))
    await bench.relayed()
    await until('the mark', async () => Number((await bench.query('select floor from trunkline.outbox_lease'))[0]?.['floor']) >= 5)

    // No transaction of ours does that: a row with a number that was given long ago.
    await bench.query(
      `${bench.insertSql('t', 'z', 1).replace('(bucket,', '(seq, bucket,').replace('values (', 'overriding system value values (2, ')}`,
    )
    await witness.saw('relay.overlooked', () => true, 1, 30_000)
    await bench.relayed()
    const told = (): Promise<unknown[]> => bench.query("select subject from trunkline.incident where kind = 'row_overlooked'")
    // It is told beside the work.
    await until('the incident', async () => (await told()).length > 0)

    expect((await bench.messages('t'))[0]).toContain('z1')
    expect(await told()).toEqual([{ subject: 'outbox' }])
  })
})
