import { describe, expect, test } from 'vitest'
import { until, Witness } from '../../kit/wait.ts'
import { RelayBench, repeat } from './relay-bench.ts'

describe('topics', () => {
  test('a missing topic is told once; its messages wait in order and flow when it is made', async () => {
    const bench = await RelayBench.open({ good: 1 })
    const relay = bench.assembly({ retryMax: '100ms' })
    const witness = new Witness(relay.diagnostics)
    await bench.publish('missing', 'a', 'a')
    await bench.publish('good', 'b')
    await relay.start({ run: ['relay'] })
    await witness.saw('relay.refused', ({ topic }) => topic === 'missing', 3)

    await until('the neighbour', async () => (await bench.messages('good'))[0]?.length === 1)
    const incidents = await bench.query('select kind, subject from trunkline.incident')
    await bench.create('missing', 2)
    await bench.publish('missing', 'a')
    await bench.relayed()

    expect(incidents).toEqual([{ kind: 'topic_missing', subject: 'missing' }])
    expect((await bench.messages('missing')).flat()).toEqual(['a1', 'a2', 'a3'])
    expect(await bench.violations('missing', 'good')).toEqual([])
  })

  test('the partition count is stored at first sight', async () => {
    const bench = await RelayBench.open({ t: 3 })
    const relay = bench.assembly()
    await bench.publish('t', 'a')

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    expect(await bench.query('select name, partitions from trunkline.topic')).toEqual([{ name: 't', partitions: 3 }])
  })

  test('a topic that grew keeps its keys where they are, and tells', async () => {
    const bench = await RelayBench.open({ t: 8 })
    await bench.query("insert into trunkline.topic (name, partitions) values ('t', 2)")
    const relay = bench.assembly()
    await bench.publish('t', ...repeat(['a', 'b', 'c', 'd', 'e', 'f'], 2))

    await relay.start({ run: ['relay'] })
    await bench.relayed()

    const used = (await bench.messages('t')).flatMap((messages, partition) => (messages.length > 0 ? [partition] : []))
    expect(used.every((partition) => partition < 2)).toBe(true)
    expect(await bench.query('select kind, subject from trunkline.incident')).toEqual([{ kind: 'topic_partitions_grew', subject: 't' }])
  })

  test('a topic that shrank waits, and its neighbours flow', async () => {
    const bench = await RelayBench.open({ t: 1, good: 1 })
    await bench.query("insert into trunkline.topic (name, partitions) values ('t', 4)")
    const relay = bench.assembly()
    await bench.publish('t', 'a')
    await bench.publish('good', 'b')

    await relay.start({ run: ['relay'] })
    await until('the neighbour', async () => (await bench.messages('good'))[0]?.length === 1)

    expect(await bench.messages('t')).toEqual([[]])
    await until(
      'the incident',
      async () => (await bench.query("select from trunkline.incident where kind = 'topic_partitions_shrank'")).length === 1,
    )
  })
})
