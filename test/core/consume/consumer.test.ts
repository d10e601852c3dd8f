import { describe, expect, test } from 'vitest'
import { noFence } from '../../kit/broken/no-fence.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench, consuming } from './consume-bench.ts'

const Counted = countedOn('t')

describe('an effect', () => {
  test('is made once, however often its message is sent', async () => {
    const bench = await ConsumeBench.open(2)
    for (const key of ['a', 'b', 'a', 'b']) await bench.publish(key)
    await bench.sendAgain()
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect((await bench.effects()).toSorted()).toEqual(['a1', 'a2', 'b1', 'b2'])
    expect(witness.count('delivery.duplicate')).toBe(4)
  })

  test('is made in each group that subscribed', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    applyCounted(backbone, { topic: 't' })
    backbone.group('judge.audit').subscribe(Counted, async ({ data }, { tx }) => {
      await tx.query('insert into effect (key, version) values ($1, $2)', [`audit ${data.key}`, data.version])
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()
    await bench.settled('judge.audit')

    expect((await bench.effects()).toSorted()).toEqual(['a1', 'audit a1'])
  })

  test('is made by whoever holds the partition: the former holder is fenced', async () => {
    const bench = await ConsumeBench.open()
    const gate = Promise.withResolvers<void>()
    const { backbone, witness } = bench.backbone()
    let runs = 0
    backbone.subscribe(Counted, async ({ data }, { tx }) => {
      if (++runs === 1) await gate.promise
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    })
    await bench.publish('a')
    // A transaction that took its position before the take-over and one after: only the row decides.
    await backbone.start({ run: ['consume'] })
    await until('the first run', () => runs === 1)

    const takenOver = bench.query("update trunkline.consumer_position set epoch = epoch + 1 where consumer_group = 'judge'")
    gate.resolve()
    await takenOver
    await bench.publish('a')
    await witness.saw('consumer.fenced')
    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect(await bench.effects()).toEqual(['a1', 'a2'])
  })

  test('moves with its partition when a second member joins and the first one leaves', async () => {
    const bench = await ConsumeBench.open(4)
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    const first = await consuming(bench)
    for (const key of keys) await bench.publish(key)
    const second = await consuming(bench)
    for (const key of keys) await bench.publish(key)
    await first.backbone.stop()
    for (const key of keys) await bench.publish(key)

    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect(second.witness.count('delivery.applied')).toBeGreaterThan(0)
  })
})

/** The database is set back to an earlier state while its consumer lives: effects, inbox and position go together. */
async function restoredUnder(bench: ConsumeBench): Promise<void> {
  const count = async (): Promise<number> => (await bench.effects()).length
  for (let version = 1; version <= 4; version++) await bench.publish('a')
  await until('four effects', async () => (await count()) === 4)
  await bench.query(`
    with set_back as (update trunkline.consumer_position set next_offset = 2),
         forgotten as (delete from effect where version > 2)
    delete from trunkline.inbox where id in (select id from trunkline.inbox order by handled_at desc limit 2)`)
  await bench.publish('a')
  await bench.settled()
}

describe('a database that was set back under a living consumer', () => {
  test('is read on from where it stands now', async () => {
    const bench = await ConsumeBench.open()
    const { witness } = await consuming(bench)

    await restoredUnder(bench)

    expect(await bench.violations()).toEqual([])
    expect(await bench.effects()).toEqual(['a1', 'a2', 'a3', 'a4', 'a5'])
    expect(witness.count('consumer.fenced')).toBe(1)
  })

  test('loses effects without a fence, and the judge sees it', async () => {
    const bench = await ConsumeBench.open()
    const broken = bench.assembly({ positions: noFence })
    applyCounted(broken, { topic: 't' })
    await broken.start({ run: ['consume'] })

    await restoredUnder(bench)

    expect(await bench.violations()).toEqual([
      'lost: committed and neither applied nor kept: a#3',
      'lost: committed and neither applied nor kept: a#4',
    ])
  })
})

describe('a position that the log no longer has', () => {
  test('above its end: told, and read again from the beginning', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a')
    await bench.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('judge', 't', 0, 1, 99)",
    )
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.query('select kind from trunkline.incident')).toEqual([{ kind: 'position_above_log_end' }])
  })

  test('of another topic of that name: told, and read again from the beginning', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a')
    await bench.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset, topic_id) values ('judge', 't', 0, 1, 1, 'another')",
    )
    const { witness } = await consuming(bench)

    // The position looks settled before it is taken, so the effect is waited for.
    await witness.saw('delivery.applied')
    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.query('select kind from trunkline.incident')).toEqual([{ kind: 'topic_recreated' }])
  })
})
