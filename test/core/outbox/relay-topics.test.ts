import { describe, expect, test } from 'vitest'
import { until, Witness } from '../../kit/wait.ts'
import { faults } from './faulty-producer.ts'
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

  test('that it grew is told once, by whichever owner, and again when it grows further', async () => {
    const bench = await RelayBench.open({ t: 4 })
    await bench.query("insert into trunkline.topic (name, partitions) values ('t', 2)")
    const send = async () => {
      const relay = bench.assembly()
      await bench.publish('t', 'a')
      await relay.start({ run: ['relay'] })
      await bench.relayed()
      await relay.stop()
    }
    const told = () =>
      bench.query("select details->'actual' as actual from trunkline.incident where kind = 'topic_partitions_grew' order by seq")

    await send()
    await send()
    const once = await told()
    await bench.log.driver().admin.raisePartitions('t', 6)
    await send()

    expect(once).toEqual([{ actual: 4 }])
    expect(await told()).toEqual([{ actual: 4 }, { actual: 6 }])
  })

  test('that is refused over two terms is one incident; when it was accepted in between, another', async () => {
    const bench = await RelayBench.open({ t: 1 })
    let refused = true
    const relay = bench.assembly(
      { retryMax: '100ms' },
      faults(() => (refused ? 'refused topic' : undefined)),
    )
    const witness = new Witness(relay.diagnostics)
    const refusals = () => witness.count('relay.refused', ({ partition }) => partition === 0)
    const once = async (what: string, times: number) => await until(what, () => refusals() >= times)
    const told = async () => (await bench.query("select from trunkline.incident where kind = 'topic_refused'")).length
    await bench.publish('t', 'a')

    await relay.start({ run: ['relay'] })
    await once('a refusal', 1)
    await bench.query("update trunkline.outbox_lease set owner = null, epoch = epoch + 1, expires_at = '-infinity'")
    await witness.saw('relay.term_started', () => true, 2)
    await once('more of them', refusals() + 2)
    const overTwoTerms = await told()
    // The third term finds it well.
    refused = false
    await bench.query("update trunkline.outbox_lease set owner = null, epoch = epoch + 1, expires_at = '-infinity'")
    await bench.relayed()
    refused = true
    await bench.publish('t', 'a')
    await until('the second incident', async () => (await told()) === 2)

    expect(overTwoTerms).toBe(1)
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

  test('partitions that somebody adds to a topic in use are told of, though nothing is refused or restarted', async () => {
    const bench = await RelayBench.open({ t: 2 })
    const relay = bench.assembly({ topicCheck: '100ms' })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.relayed()

    await bench.log.driver().admin.raisePartitions('t', 6)
    await witness.saw('incident.recorded')
    await bench.publish('t', ...repeat(['a', 'b', 'c', 'd', 'e', 'f'], 2))
    await bench.relayed()

    expect(await bench.query('select kind, subject from trunkline.incident')).toEqual([{ kind: 'topic_partitions_grew', subject: 't' }])
    expect((await bench.messages('t')).slice(2).flat()).toEqual([])
    expect(witness.count('relay.term_started')).toBe(1)
  })

  test('a topic in use that has fewer partitions than its keys were hashed with is found before a message is sent to it', async () => {
    const bench = await RelayBench.open({ t: 2 })
    const relay = bench.assembly({ topicCheck: '100ms', retryMax: '10m' })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.relayed()

    await bench.query("update trunkline.topic set partitions = 4 where name = 't'")
    await witness.saw('incident.recorded', ({ kind }) => kind === 'topic_partitions_shrank')
    await bench.publish('t', 'a')

    expect(await bench.waiting()).toBe(1)
  })

  test('a stored count that is changed is noticed before anything is refused: the term ends', async () => {
    const bench = await RelayBench.open({ t: 4 })
    const relay = bench.assembly({ topicCheck: '100ms' })
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.relayed()

    await bench.query("update trunkline.topic set partitions = 2 where name = 't'")
    const ended = await witness.saw('relay.term_ended')

    expect(ended.reason).toBe('the partition count of topic "t" was changed')
  })

  test('a stored count that is changed behind an owner ends its term: what it knows of the lanes is void', async () => {
    const bench = await RelayBench.open({ t: 4 })
    const refusing = { now: false }
    const relay = bench.assembly(
      { retryMax: '100ms' },
      faults(() => (refusing.now ? 'refused topic' : undefined)),
    )
    const witness = new Witness(relay.diagnostics)
    await relay.start({ run: ['relay'] })
    await bench.publish('t', 'a')
    await bench.relayed()

    refusing.now = true
    await bench.query("update trunkline.topic set partitions = 2 where name = 't'")
    await bench.publish('t', 'b')
    await witness.saw('relay.term_ended')
    refusing.now = false
    await bench.relayed()

    expect(witness.all('relay.term_ended')[0]?.reason).toBe('the partition count of topic "t" was changed')
    expect((await bench.messages('t')).flat().toSorted()).toEqual(['a1', 'b1'])
  })
})

test('messages of a restored dump, whose transaction ids are of another life of the server, are sent', async () => {
  const bench = await RelayBench.open({ t: 1 })
  await bench.publish('t', 'a', 'b')
  await bench.query("update trunkline.outbox set xid = '9000000000000000000'")
  const relay = bench.assembly()

  await relay.start({ run: ['relay'] })
  await bench.publish('t', 'a')
  await bench.relayed()

  expect(await bench.messages('t')).toEqual([['a1', 'b1', 'a2']])
})
