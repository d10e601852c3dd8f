import { describe, expect, test } from 'vitest'
import type { OutboxStoreFactory } from '../../../src/core/outbox/outbox-store.ts'
import type { Replacements } from '../../kit/assembly.ts'
import { cursorByXid } from '../../kit/broken/cursor-by-xid.ts'
import { deleteBySeqAlone } from '../../kit/broken/delete-by-seq-alone.ts'
import { highMarkAndSweep } from '../../kit/broken/high-mark-and-sweep.ts'
import { memoryKept } from '../../kit/broken/memory-kept.ts'
import { unfencedRead } from '../../kit/broken/unfenced-read.ts'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
import { RelayBench } from './relay-bench.ts'

/** Ours, and one that is broken: the same happens to both, and the judge must tell them apart. */
type Break = (real: OutboxStoreFactory) => OutboxStoreFactory

describe('a transaction that has its id early and its key late', () => {
  /** The first to write is the second to lock the key. */
  async function run(broken?: (url: string) => Break): Promise<readonly string[]> {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly({}, broken === undefined ? {} : { outboxes: broken(bench.url) })
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'z')
    await bench.relayed()
    const early = await bench.pool.connect()
    await early.query('begin')
    await early.query('insert into source (key, version) values ($1, 0)', ['something else'])
    await bench.publish('t', 'a')
    await early.query("update source set version = 2 where key = 'a'")
    await early.query("insert into committed (operation, key, version) values ('', 'a', 2)")
    await early.query(bench.insertSql('t', 'a', 2))
    await early.query('commit')
    early.release()

    await until('both', async () => (await bench.messages('t'))[0]?.length === 3)
    return await bench.violations('t')
  }

  test('is sent in the order of its key', async () => {
    expect(await run()).toEqual([])
  })

  test('is sent before its predecessor by a relay with a cursor by transaction id', async () => {
    expect(await run(cursorByXid)).toEqual(['overtaken in the log: a#1 came after a#2'])
  })
})

describe('a message that is committed late, and its successor at once behind it', () => {
  async function run(broken?: Break, isOver: () => void = () => undefined): Promise<readonly string[]> {
    const bench = await RelayBench.open({ t: 1 })
    const relay = bench.assembly({}, broken === undefined ? {} : { outboxes: broken })
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'z')
    await bench.relayed()
    const late = await bench.pool.connect()
    await late.query('begin')
    await late.query("insert into source (key, version) values ('a', 1)")
    await late.query("insert into committed (operation, key, version) values ('', 'a', 1)")
    await late.query(bench.insertSql('t', 'a', 1))
    await bench.publish('t', 'b')
    await until('the other key', async () => (await bench.messages('t'))[0]?.includes('b1'))

    // No read of the relay falls between the two commits.
    const pause = await bench.pool.connect()
    await pause.query('begin; lock table trunkline.outbox_lease in access exclusive mode')
    await late.query('commit')
    late.release()
    await bench.publish('t', 'a')
    await pause.query('commit')
    pause.release()
    await until('the successor', async () => (await bench.messages('t'))[0]?.includes('a2'))
    isOver()
    await bench.relayed()
    return await bench.violations('t')
  }

  test('are sent in their order', async () => {
    expect(await run()).toEqual([])
  })

  test('are sent the wrong way round by a relay with a high mark and a sweep', async () => {
    const sweeping = { now: false }

    const violations = await run(
      highMarkAndSweep(() => sweeping.now),
      () => {
        sweeping.now = true
      },
    )

    expect(violations).toEqual(['overtaken in the log: a#1 came after a#2'])
  })
})

describe('an owner that was replaced without its knowledge', () => {
  /** What it sends of a message that was published afterwards. */
  async function run(broken?: (url: string) => Break): Promise<readonly string[]> {
    const bench = await RelayBench.open({ t: 1 })
    const scripted = faults(() => undefined)
    const parts: Replacements = { ...scripted, ...(broken === undefined ? {} : { outboxes: broken(bench.url) }) }
    const former = bench.assembly({ lease: '1m' }, parts)
    await former.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.relayed()
    const before = scripted.batches().length

    await bench.query(
      "update trunkline.outbox_lease set owner = 'somebody else', epoch = epoch + 1, expires_at = now() + interval '1 minute'",
    )
    await bench.publish('t', 'a')
    await until('its end, or its next batch', () => !former.relay.inOffice || scripted.batches().length > before)
    return scripted
      .batches()
      .slice(before)
      .flatMap(({ messages }) => messages)
  }

  test('sends nothing', async () => {
    expect(await run()).toEqual([])
  })

  test('goes on sending when its reads are not fenced', async () => {
    expect(await run(unfencedRead)).toEqual(['a2'])
  })
})

describe('a server that crashed, and gives numbers again', () => {
  /** @returns whether a message with a number that was there before is sent */
  async function run(broken?: Break): Promise<boolean> {
    const bench = await RelayBench.open({ t: 1 })
    let reads = 0
    const counting: Break = (real) => ({
      open: async (events) => {
        const store = await (broken === undefined ? real : broken(real)).open(events)
        const { fetchPending } = store
        return Object.assign(store, {
          fetchPending: async (...given: Parameters<typeof fetchPending>) => {
            reads++
            return await fetchPending.apply(store, given)
          },
        })
      },
    })
    const relay = bench.assembly({}, { outboxes: counting })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    for (let index = 0; index < 5; index++) await bench.publish('t', 'a')
    await bench.relayed()
    const settled = reads + 5
    await until('a mark that has moved', () => reads > settled)

    // As after a crash: every connection is gone, and what was not on the disk is forgotten, the sequence too.
    await bench.query(crashSql)
    await bench.publish('t', 'a')
    const then = reads + 20
    await until('the message, or many reads', async () => reads > then || (await bench.waiting()) === 0)
    witness.stop()
    return (await bench.messages('t'))[0]?.includes('a6') === true
  }

  const crashSql = `
    with gone as materialized (
      select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'trunkline relay%' and datname = current_database()
    )
    select setval('trunkline.outbox_seq_seq', 1), (select count(*) from gone)`

  test('hides nothing from an owner that forgets what it knew', async () => {
    expect(await run()).toBe(true)
  })

  test('hides the message from an owner that keeps its memory', async () => {
    expect(await run(memoryKept)).toBe(false)
  })
})

describe('a number that belongs to another message by the time of the delete', () => {
  async function run(broken?: (url: string) => Break): Promise<readonly string[]> {
    const bench = await RelayBench.open({ t: 1 })
    await bench.publish('t', 'a')
    // Between the acknowledgement and the delete another message takes the number.
    const swapped = Promise.withResolvers<void>()
    const relay = bench.assembly(
      {},
      {
        outboxes: (real) => ({
          open: async (events) => {
            const store = await (broken?.(bench.url)(real) ?? real).open(events)
            const { remove } = store
            return Object.assign(store, {
              remove: async (...given: Parameters<typeof remove>) => {
                await swapped.promise
                return await remove.apply(store, given)
              },
            })
          },
        }),
      },
    )
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.removing')
    await bench.query("delete from trunkline.outbox; select setval('trunkline.outbox_seq_seq', 1, false)")
    await bench.publish('t', 'b')
    swapped.resolve()
    await witness.saw('relay.removed')
    await relay.stop()

    const next = bench.assembly()
    await next.start({ run: ['relay'] })
    await bench.relayed()
    return await bench.violations('t')
  }

  test('stays and is sent', async () => {
    expect(await run()).toEqual([])
  })

  test('is lost by a delete that looks at the number alone', async () => {
    expect(await run(deleteBySeqAlone)).toEqual(['lost: committed and not in the log: b#1'])
  })
})
